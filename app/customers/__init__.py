"""Who a customer is and what they allow: identities, consent, preferences; pure rules over plain values."""
