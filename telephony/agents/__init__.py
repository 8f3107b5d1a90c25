"""An example worker on livekit-agents: it answers calls that the service dispatches to it.

A client of the service's API and of a LiveKit room, in an environment of its own (extra
``agents``): it imports nothing of ours but ``base``. Read ``conversation.py`` first.
"""
