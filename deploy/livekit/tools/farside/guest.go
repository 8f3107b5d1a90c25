package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

const (
	payloadType = 111
	version     = 16 // of the signalling: from here on the server explains why somebody leaves
	silence     = 10 // octets of a packet up to which it holds none but comfort noise
)

var (
	number atomic.Int64
	opus   = webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1",
	}
)

// A guest is one participant: its signalling and its two connections, as LiveKit has them.
type guest struct {
	far       *farside
	number    int64
	conn      *websocket.Conn
	guard     sync.Mutex // of writing to conn
	publisher *webrtc.PeerConnection
	listener  *webrtc.PeerConnection
	track     *webrtc.TrackLocalStaticRTP
	speaking  atomic.Bool
	left      atomic.Bool
	sequence  uint16
	timestamp uint32
	waiting   map[livekit.SignalTarget][]webrtc.ICECandidateInit
}

// join enters a room and publishes; it returns once sound can flow to the server.
func join(far *farside, url, token string) (*guest, error) {
	address := fmt.Sprintf("%s/rtc?protocol=%d&auto_subscribe=true&sdk=go&version=1", url, version)
	header := http.Header{"Authorization": {"Bearer " + token}}
	conn, _, err := websocket.DefaultDialer.Dial(address, header)
	if err != nil {
		return nil, err
	}
	g := &guest{
		far: far, number: number.Add(1), conn: conn,
		sequence: uint16(rand.Uint32()), timestamp: rand.Uint32(),
		waiting: map[livekit.SignalTarget][]webrtc.ICECandidateInit{},
	}
	api, err := peers()
	if err == nil {
		g.publisher, err = g.peer(api, livekit.SignalTarget_PUBLISHER)
	}
	if err == nil {
		g.listener, err = g.peer(api, livekit.SignalTarget_SUBSCRIBER)
	}
	if err == nil {
		g.track, err = webrtc.NewTrackLocalStaticRTP(opus, fmt.Sprintf("voice-%d", g.number), "agent")
	}
	if err == nil {
		_, err = g.publisher.AddTrack(g.track)
	}
	if err != nil {
		g.leave()
		return nil, err
	}
	g.listener.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { g.listen(track) })
	up := make(chan struct{})
	var once sync.Once
	g.publisher.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			g.speaking.Store(true)
			once.Do(func() { close(up) })
		case webrtc.PeerConnectionStateFailed:
			far.failed.Add(1)
			far.gone(g)
		}
	})
	over := make(chan error, 1)
	go func() {
		over <- g.signal()
		far.gone(g)
	}()
	select {
	case <-up:
		return g, nil
	case err := <-over:
		return nil, err
	case <-time.After(15 * time.Second):
		g.leave()
		return nil, errors.New("no connection for sound within 15 s")
	}
}

// peers makes connections that look for their peer on loopback only and speak nothing but Opus.
func peers() (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	codec := webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: payloadType}
	if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	// Without reports of the sender the server does not know how its clock goes. No NACK: what is
	// lost here is to be seen.
	chain := &interceptor.Registry{}
	if err := webrtc.ConfigureRTCPReports(chain); err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(chain),
		webrtc.WithSettingEngine(settings),
	), nil
}

func (g *guest) peer(api *webrtc.API, target livekit.SignalTarget) (*webrtc.PeerConnection, error) {
	made, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	made.OnICECandidate(func(found *webrtc.ICECandidate) {
		if found == nil {
			return
		}
		if data, err := json.Marshal(found.ToJSON()); err == nil {
			_ = g.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{
				Trickle: &livekit.TrickleRequest{CandidateInit: string(data), Target: target},
			}})
		}
	})
	return made, nil
}

// signal answers the server until the connection ends.
func (g *guest) signal() error {
	for {
		_, data, err := g.conn.ReadMessage()
		if err != nil {
			return err
		}
		told := &livekit.SignalResponse{}
		if err := proto.Unmarshal(data, told); err != nil {
			return err
		}
		switch m := told.Message.(type) {
		case *livekit.SignalResponse_Join:
			go g.ping(m.Join.PingInterval)
			err = g.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{
				AddTrack: &livekit.AddTrackRequest{
					Cid: g.track.ID(), Name: "voice", Type: livekit.TrackType_AUDIO,
					Source: livekit.TrackSource_MICROPHONE, DisableRed: true,
				},
			}})
		case *livekit.SignalResponse_TrackPublished:
			err = g.offer()
		case *livekit.SignalResponse_Answer:
			err = g.described(g.publisher, livekit.SignalTarget_PUBLISHER, m.Answer)
		case *livekit.SignalResponse_Offer:
			err = g.answer(m.Offer)
		case *livekit.SignalResponse_Trickle:
			err = g.candidate(m.Trickle)
		case *livekit.SignalResponse_Leave:
			return fmt.Errorf("the server says that it is over: %s", m.Leave.Reason)
		}
		if err != nil {
			return err
		}
	}
}

func (g *guest) ping(every int32) {
	if every <= 0 {
		every = 5
	}
	for !g.left.Load() {
		time.Sleep(time.Duration(every) * time.Second)
		now := time.Now().UnixMilli()
		if g.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_PingReq{
			PingReq: &livekit.Ping{Timestamp: now},
		}}) != nil {
			return
		}
	}
}

func (g *guest) offer() error {
	offer, err := g.publisher.CreateOffer(nil)
	if err == nil {
		err = g.publisher.SetLocalDescription(offer)
	}
	if err != nil {
		return err
	}
	return g.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{
		Offer: &livekit.SessionDescription{Type: "offer", Sdp: offer.SDP, Id: 1},
	}})
}

func (g *guest) answer(offer *livekit.SessionDescription) error {
	if err := g.described(g.listener, livekit.SignalTarget_SUBSCRIBER, offer); err != nil {
		return err
	}
	answer, err := g.listener.CreateAnswer(nil)
	if err == nil {
		err = g.listener.SetLocalDescription(answer)
	}
	if err != nil {
		return err
	}
	return g.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{
		Answer: &livekit.SessionDescription{Type: "answer", Sdp: answer.SDP, Id: offer.Id},
	}})
}

func (g *guest) described(
	peer *webrtc.PeerConnection, target livekit.SignalTarget, told *livekit.SessionDescription,
) error {
	err := peer.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.NewSDPType(told.Type), SDP: told.Sdp,
	})
	for _, early := range g.waiting[target] {
		if err == nil {
			err = peer.AddICECandidate(early)
		}
	}
	delete(g.waiting, target)
	return err
}

func (g *guest) candidate(told *livekit.TrickleRequest) error {
	found := webrtc.ICECandidateInit{}
	if err := json.Unmarshal([]byte(told.CandidateInit), &found); err != nil {
		return err
	}
	peer := g.publisher
	if told.Target == livekit.SignalTarget_SUBSCRIBER {
		peer = g.listener
	}
	if peer.RemoteDescription() == nil {
		g.waiting[told.Target] = append(g.waiting[told.Target], found)
		return nil
	}
	return peer.AddICECandidate(found)
}

func (g *guest) send(m *livekit.SignalRequest) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	g.guard.Lock()
	defer g.guard.Unlock()
	return g.conn.WriteMessage(websocket.BinaryMessage, data)
}

// say sends one packet of 20 ms; only one goroutine does.
func (g *guest) say(packet []byte) bool {
	if !g.speaking.Load() || g.left.Load() {
		return false
	}
	g.sequence++
	g.timestamp += 960
	return g.track.WriteRTP(&rtp.Packet{
		Header: rtp.Header{
			Version: 2, PayloadType: payloadType,
			SequenceNumber: g.sequence, Timestamp: g.timestamp,
		},
		Payload: packet,
	}) == nil
}

// listen counts what comes of one track.
func (g *guest) listen(track *webrtc.TrackRemote) {
	far := g.far
	far.hearing.Add(1)
	defer far.hearing.Add(-1)
	var last uint16
	var at time.Time
	buffer := make([]byte, 1500)
	packet := &rtp.Packet{}
	for {
		size, _, err := track.Read(buffer)
		if err != nil {
			return
		}
		if err := packet.Unmarshal(buffer[:size]); err != nil {
			continue
		}
		now := time.Now()
		if !at.IsZero() {
			if step := packet.SequenceNumber - last; step > 1 && step < 1000 {
				far.lost.Add(int64(step) - 1)
			}
			if now.Sub(at) > gap {
				far.gaps.Add(1)
			}
		}
		last, at = packet.SequenceNumber, now
		far.received.Add(1)
		if len(packet.Payload) > silence {
			far.sound.Add(1)
		}
		if far.echo && g.say(packet.Payload) {
			far.sent.Add(1)
		}
	}
}

// leave closes everything. Idempotent.
func (g *guest) leave() {
	if g.left.Swap(true) {
		return
	}
	_ = g.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{
		Leave: &livekit.LeaveRequest{Reason: livekit.DisconnectReason_CLIENT_INITIATED},
	}})
	_ = g.conn.Close()
	for _, peer := range []*webrtc.PeerConnection{g.publisher, g.listener} {
		if peer != nil {
			_ = peer.Close()
		}
	}
}
