"""The resolver that containers of user-defined networks find at 127.0.0.11."""
