"""The admin API: declared functions over JSON, on the console's listener and in `maxiofs invoke`."""
