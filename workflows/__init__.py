"""What happens later: one step function per workflow, and the few parts that run them."""
