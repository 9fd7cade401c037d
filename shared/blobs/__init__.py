"""Bytes: engines, staging, segments and transforms; knows no names."""
