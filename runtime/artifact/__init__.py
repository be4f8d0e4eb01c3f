"""The file format: what an artifact holds, written in one go and checked before it is believed."""
