"""Session descriptions: reading and writing them (RFC 8866), agreeing on one (RFC 3264)."""
