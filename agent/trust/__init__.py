"""Who may ask: the mesh key, the keys derived from it, and proof that one holds them."""
