"""Records what one `endcap` executable answers, and compares two recordings: behaviour kept, or what changed."""
