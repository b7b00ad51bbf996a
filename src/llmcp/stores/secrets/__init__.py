"""Where secrets lie: the OS keychain, an encrypted file, secret managers. `choice` says which."""
