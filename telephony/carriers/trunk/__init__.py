"""Our own SIP as a carrier: trunks, registrations, softphones."""
