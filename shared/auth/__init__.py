"""Who is asking: signatures, proxies, keys and sealed secrets. What they may do is decided elsewhere."""
