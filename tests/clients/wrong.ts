// Each line that is marked must fail to compile, and no other.
import type { components } from "./api";

type Schemas = components["schemas"];

export const misspelt: Schemas["DecisionRequest"] = {
  custmer_id: "900", // wrong: no such field
  placement: "app_home",
};

export const number: Schemas["DecisionRequest"] = {
  customer_id: 42, // wrong: ids are strings
  placement: "app_home",
};

export const nowhere: Schemas["DecisionRequest"] = { customer_id: "900" }; // wrong: no placement

export const unknownType: Schemas["EventRow"] = {
  id: "e-1",
  type: "looked_at", // wrong: no such type of event
  time: "2026-11-21T17:00:00Z",
};

export function reading(answer: Schemas["DecisionAnswer"]): number {
  return answer.propositions[0].prise.amount_minor; // wrong: no such field
}
