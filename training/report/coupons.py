"""What a report says of coupons: how well those of later campaigns were ranked, and how true their chances were."""

from training.evaluation.results import MetricEstimate
from training.release.bundle_facts import BundleFacts
from training.report import plots
from training.report.formatting import noise_in_words, signed, with_ends
from training.report.page import figure, paragraph, section, table

TITLE = "Coupons"


def coupons_section(facts: BundleFacts) -> str:
    """Nothing where the retailer has no coupons; where nothing was learned or measured, the reason."""
    if facts.coupons is None:
        return section(TITLE, paragraph(f"No coupon model: {facts.no_coupons}.")) if facts.no_coupons else ""
    if not facts.coupons:
        words = "A coupon model was learned, and not measured: too few redemptions lie before the last campaigns."
        return section(TITLE, paragraph(words))
    measured = facts.coupons
    auc, gain = (
        MetricEstimate(measured[name], measured[f"{name}_low"], measured[f"{name}_high"]) for name in ("auc", "gain")
    )
    plain = {"own purchases": measured["own_purchases"], "products covered": measured["breadth"]}
    drawn = {"Endcap": auc} | {name: MetricEstimate(value, value, value) for name, value in plain.items()}
    words = (
        f"Coupons of the last campaigns, by a model of those that ended before: over {measured['pairs']:,.0f} pairs of "
        f"a customer and a campaign, a redeemed coupon stands above one that was not in {auc.mean:.0%} of cases. "
        f"That is {signed(gain)} compared with own purchases of a coupon's products: {noise_in_words(gain)}. For each "
        f"redemption {measured['predicted_to_actual']:.2f} were predicted."
    )
    rows = [("Endcap", with_ends(auc)), *((name, f"{value:.4f}") for name, value in plain.items())]
    rows.append(("Endcap minus own purchases", signed(gain)))
    rows.append(("redemptions predicted for each actual one", f"{measured['predicted_to_actual']:.4f}"))
    behind = table("How coupons were ranked", ("figure", "AUC, mean over pairs"), rows)
    picture = plots.bars({"AUC": drawn}, label="AUC, mean over pairs, 95 % interval")
    return section(TITLE, paragraph(words), figure(picture, "How a campaign's coupons were ranked.", behind))
