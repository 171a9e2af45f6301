"""Servers the platform is compared with, each started as a process of its own."""
