"""The commands by what they are about. Heavy packages are imported by the command that needs them."""
