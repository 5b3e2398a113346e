"""Finds services and follows their workers."""
