// Right requests and the typed reading of an answer: this file must compile.
import type { components, operations } from "./api";

type Schemas = components["schemas"];
type DecisionAnswer = operations["decide"]["responses"][200]["content"]["application/json"];

export const question: Schemas["DecisionRequest"] = {
  customer_id: "900",
  placement: "app_home",
  size: 5,
  context: { channel: "app", basket: [{ product_id: "1082185", quantity: 2 }] },
};

export const events: Schemas["EventBatch"] = {
  events: [{ id: "e-1", type: "view_item", time: "2026-11-21T17:00:00Z", anonymous_id: "dev-1", product_id: "995242" }],
};

export async function firstPrice(address: string): Promise<number | undefined> {
  const response = await fetch(`${address}/v1/decisions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
  });
  const answer: DecisionAnswer = await response.json();
  return answer.propositions[0]?.price?.amount_minor;
}
