"""RTP and RTCP as bytes and numbers (RFC 3550, 3551, 4733); no socket and no clock."""
