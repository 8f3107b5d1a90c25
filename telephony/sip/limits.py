"""Every ceiling of the SIP stack, each with the reason for its size.

A stranger decides how long his message is, how many headers it has and how often he sends it; none
of the things he can grow may grow past a number written here. Sizes are in bytes of the wire form
unless the name says otherwise (the parser counts characters of the decoded text, which are never
more than the bytes they came from).
"""

from __future__ import annotations

# -- one message ---------------------------------------------------------------------------------

#: Largest message that is looked at at all: what a UDP datagram can hold. More is dropped unread.
MAX_MESSAGE_PARSED = 65_535
#: Policy: above this a request is answered 513 (RFC 3261 §21.5.7). A large INVITE with several
#: Identity headers and a WebRTC-sized SDP stays below 10 KiB.
MAX_MESSAGE = 16_384
#: Request-URI, answered 414 (RFC 3261 §21.4.12). Longer ones are attacks or broken hand-offs.
MAX_REQUEST_URI = 512
#: Start line: the Request-URI with a method and the version, or a status line with its reason.
MAX_START_LINE = 1_024
#: Header rows of one message. RFC 4475's longreq has 46; 70 hops would add 70 Vias.
MAX_HEADERS = 160
#: One header row after unfolding. A STIR Identity with certificates by URL is about 2 KiB.
MAX_HEADER_SIZE = 4_096
#: Via values: Max-Forwards starts at 70 (RFC 3261 §8.1.1.6), so an honest path is not longer.
MAX_VIAS = 70
#: Route or Record-Route values: each is a proxy in the path that wants every request.
MAX_ROUTES = 32
#: Contact values of one message: a phone registers one, a redirect names a handful.
MAX_CONTACTS = 16
#: Parameters of one URI or header value.
MAX_PARAMS = 64
#: Body bytes. An SDP of an audio call has 300 to 800; the message ceiling bounds it as well.
MAX_BODY = 12_288
#: Digits of a Content-Length that are converted to a number; more can only be nonsense.
MAX_CONTENT_LENGTH_DIGITS = 10
#: Sequence numbers end here (RFC 3261 §20.16: 32 bits unsigned; §8.1.1.5 says below 2**31 for what
#: we make ourselves).
MAX_CSEQ = 2**32 - 1
#: Max-Forwards is one octet (RFC 3261 §20.22); what is above counts as this.
MAX_MAX_FORWARDS = 255
#: Delta-seconds (Expires and the like) are 32 bits (RFC 3261 §20.19); what is above counts as this.
MAX_DELTA_SECONDS = 2**32 - 1
#: Tag, branch and Call-ID are copied into tables as keys.
MAX_TOKEN = 512

# -- a stream ------------------------------------------------------------------------------------

#: Bytes of an unfinished header block on a stream: a message may not have more than this anyway.
MAX_STREAM_HEAD = MAX_MESSAGE

# -- what the agent remembers ---------------------------------------------------------------------

#: Transactions alive at once. At 200 set-ups a second with 32 s of Timer H about 26,000 live.
MAX_TRANSACTIONS = 60_000
#: Transactions one unknown source may hold, so that a flood fills its own share only.
MAX_TRANSACTIONS_PER_SOURCE = 200
#: Dialogs alive at once: twice the calls of the largest process we plan for.
MAX_DIALOGS = 20_000
#: Forked early dialogs that one outgoing INVITE may open (RFC 3261 §12.1).
MAX_FORKS = 12
#: Final responses to earlier requests that wait for their ACK are counted in MAX_TRANSACTIONS;
#: these are the 2xx of one INVITE, each of which is acknowledged (RFC 3261 §13.2.2.4).
MAX_FORKED_2XX = 12
#: Sends and events not yet taken by the driver. It takes them after every input, so this is
#: reached only by a driver that died.
MAX_SENDS_PENDING = 10_000
MAX_EVENTS_PENDING = 10_000
#: Provisional responses remembered for one INVITE: a peer that sends 180 for ever is not stored.
MAX_PROVISIONALS = 64
#: Connections remembered as closed, so that dialogs that ran over them open another.
MAX_CLOSED_FLOWS = 8_192
#: Peers whose view of our address is remembered (RFC 3581).
MAX_LEARNED_ADDRESSES = 1_000
#: Names of remote targets that are being resolved at once: a peer chooses them.
MAX_RESOLUTIONS = 1_000
#: Requests of ours outside and inside dialogs that wait for an answer in one session.
MAX_REQUESTS_PER_SESSION = 32
#: Subscriptions of REFER, ours and theirs, in one session.
MAX_REFERS_PER_SESSION = 4
#: Times a re-INVITE or UPDATE of ours is tried again after 491 (RFC 3261 §14.1).
MAX_GLARE_RETRIES = 5
#: Registrations kept alive by one agent (one a trunk).
MAX_REGISTRATIONS = 200
#: Bindings of one address of record (RFC 3261 §10.3): phones of one user.
MAX_BINDINGS_PER_AOR = 10
#: Body bytes of an INFO or MESSAGE that is handed up; DTMF relay has about 24.
MAX_INFO_BODY = 1_024

# -- digest ----------------------------------------------------------------------------------------

#: A nonce lives this long (seconds): long enough for a phone's next refresh within a call, short
#: enough that a captured one is soon useless (RFC 7616 §5.4).
NONCE_SECONDS = 300.0
#: Nonces whose nonce counts are remembered. Only a nonce that has proved a password gets a row.
MAX_NONCES = 4_096
#: How far back a nonce count may arrive out of order: bits of the replay window of one nonce.
NONCE_COUNT_WINDOW = 64
#: Largest nonce count taken; a phone that needs more fetches a new nonce.
MAX_NONCE_COUNT = 2**32 - 1
#: Parameters of a challenge or of credentials (RFC 7616 §3.3 and §3.4 name ten).
MAX_AUTH_PARAMS = 24
#: Challenges looked at in one response.
MAX_CHALLENGES = 8
#: Answers to one realm for one request: one, and one more when the nonce was stale.
MAX_AUTH_ATTEMPTS = 2
#: Sendings of one request in all: a proxy and the far end may both ask, each with a stale nonce; a
#: server that names a new realm each time gets no more.
MAX_AUTH_ROUNDS = 5
#: Realms for which a client keeps a challenge to answer ahead of the next 401.
MAX_CLIENT_REALMS = 8

# -- sockets and names (used by sipnet) ------------------------------------------------------------

#: A TCP connection that has not sent a byte after this is closed (seconds).
STREAM_FIRST_BYTE_SECONDS = 4.0
#: A message that has begun on a stream must be whole within this (seconds).
STREAM_MESSAGE_SECONDS = 8.0
#: A connection with no traffic is closed after this (seconds). Session timers refresh a call every
#: 15 minutes by default (RFC 4028 §4: 1,800 s halved), so a call's connection outlives its silence.
STREAM_IDLE_SECONDS = 1_800.0
#: TCP connections from one address: a PBX uses one or two, a NAT full of phones some dozens.
MAX_STREAMS_PER_SOURCE = 64
#: TCP connections in all.
MAX_STREAMS = 4_096
#: Bytes waiting in the write buffer of one connection; a peer that does not read is cut off.
MAX_STREAM_WRITE_BUFFER = 262_144
#: Messages waiting for one connection that is being opened.
MAX_STREAM_BACKLOG = 64
#: Connections being opened at once.
MAX_STREAM_CONNECTING = 256
#: Seconds to open a TCP connection.
STREAM_CONNECT_SECONDS = 5.0
#: Datagrams read before other work gets a turn; the rest stays in the kernel's buffer. An INVITE
#: keeps the loop for about a millisecond, and the sound of every call waits as long.
MAX_DATAGRAMS_PER_WAKEUP = 4
#: Bytes the kernel may keep for a UDP socket, so that a burst of calls survives a slow moment.
UDP_RECEIVE_BUFFER = 4_194_304
#: Requests remembered for the case that an ICMP error comes back for one of them.
MAX_UDP_REMEMBERED = 1_024
#: Names kept by the resolver, and the bounds of a record's time to live (seconds).
MAX_RESOLVER_CACHE = 1_024
MIN_RESOLVER_TTL = 5.0
MAX_RESOLVER_TTL = 300.0
#: Seconds until a name that was not found is asked for again.
RESOLVER_NEGATIVE_TTL = 10.0
#: Seconds for one DNS question, and for one try of it: an answer that is lost is asked for again.
RESOLVER_QUERY_SECONDS = 1.8
RESOLVER_TRY_SECONDS = 0.8
#: Seconds one resolution may take in all: NAPTR, SRV and addresses, each with a server that is
#: silent, and still the hosts file is reached.
RESOLVER_SECONDS = 6.0
#: Targets that one name resolves to at most.
MAX_TARGETS = 16
