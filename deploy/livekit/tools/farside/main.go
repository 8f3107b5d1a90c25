// The far side of bench/rooms.py: agents in many rooms of one process. Each publishes Opus that was
// coded before, a packet every 20 ms, and takes what everybody else publishes; nothing is decoded.
//
//	farside -url ws://127.0.0.1:7880 -key KEY -secret SECRET -rooms 10 -prefix bench-   # join rooms
//	farside ... -worker telephony                      # or wait to be dispatched, as an agent worker
//
// The first line on stdout is "ready". A line on stdin is answered by one of JSON: what was counted
// so far. The end of stdin ends the program. LiveKit's Go SDK is not among the modules that are to
// be had; the signalling is a page of code, and pion does the rest as it does in the server.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

const (
	frame  = 20 * time.Millisecond
	phases = 4 // packets of all rooms leave in so many groups a frame
	late   = 5 * time.Millisecond
	gap    = 60 * time.Millisecond
)

// What is counted, from the start on.
type counts struct {
	Rooms    int64   `json:"rooms"`    // joined and not left
	Hearing  int64   `json:"hearing"`  // tracks that came
	Sent     int64   `json:"sent"`     // packets
	Late     int64   `json:"late"`     // of them more than 5 ms after their time
	Received int64   `json:"received"` // packets of others
	Sound    int64   `json:"sound"`    // of them that are no silence
	Lost     int64   `json:"lost"`     // holes in their sequence numbers
	Gaps     int64   `json:"gaps"`     // more than 60 ms between two
	Failed   int64   `json:"failed"`   // rooms that were not joined, or were lost
	Seconds  float64 `json:"seconds"`  // since the start
	CPU      float64 `json:"cpu"`      // seconds of it, user and system
}

type farside struct {
	url, key, secret string
	packets          [][]byte
	echo             bool
	began            time.Time

	mu     sync.Mutex
	guests map[*guest]struct{}

	rooms, hearing, sent, late, received, sound, lost, gaps, failed atomic.Int64
}

func main() {
	f := &farside{guests: map[*guest]struct{}{}, began: time.Now()}
	flag.StringVar(&f.url, "url", "ws://127.0.0.1:7880", "of the server")
	flag.StringVar(&f.key, "key", "", "of the server")
	flag.StringVar(&f.secret, "secret", "", "of the server")
	flag.BoolVar(&f.echo, "echo", false, "say what is heard instead of the sound")
	rooms := flag.Int("rooms", 0, "how many to join")
	prefix := flag.String("prefix", "bench-", "their names, before a number from 0")
	worker := flag.String("worker", "", "be dispatched as this agent")
	sound := flag.String("sound", "", "file of Opus packets of 20 ms, each after its length in two octets")
	flag.Parse()
	log.SetFlags(0)

	var err error
	if f.packets, err = load(*sound); err != nil {
		log.Fatal(err)
	}
	if *worker != "" {
		if err := f.register(*worker); err != nil {
			log.Fatal(err)
		}
	}
	for i := range *rooms {
		token, err := f.token(fmt.Sprintf("%s%d", *prefix, i))
		if err == nil {
			err = f.enter(f.url, token)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	go f.speak()
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		said, err := json.Marshal(f.counts())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(said))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for g := range f.guests {
		g.leave()
	}
}

// load reads the packets, or has one of silence.
func load(path string) ([][]byte, error) {
	if path == "" {
		return [][]byte{{0xf8, 0xff, 0xfe}}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var packets [][]byte
	for len(data) >= 2 {
		size := int(binary.BigEndian.Uint16(data))
		if size == 0 || len(data) < 2+size {
			break
		}
		packets, data = append(packets, data[2:2+size]), data[2+size:]
	}
	if len(packets) == 0 || len(data) != 0 {
		return nil, errors.New(path + " holds no Opus packets with their lengths")
	}
	return packets, nil
}

func (f *farside) token(room string) (string, error) {
	grant := &auth.VideoGrant{RoomJoin: true, Room: room}
	return auth.NewAccessToken(f.key, f.secret).
		SetIdentity("agent-" + room).
		SetKind(livekit.ParticipantInfo_AGENT).
		SetVideoGrant(grant).
		SetValidFor(time.Hour).
		ToJWT()
}

func (f *farside) enter(url, token string) error {
	g, err := join(f, url, token)
	if err != nil {
		f.failed.Add(1)
		return err
	}
	f.rooms.Add(1)
	f.mu.Lock()
	f.guests[g] = struct{}{}
	f.mu.Unlock()
	return nil
}

// gone forgets a guest whose connection is over.
func (f *farside) gone(g *guest) {
	f.mu.Lock()
	_, known := f.guests[g]
	delete(f.guests, g)
	f.mu.Unlock()
	if known {
		f.rooms.Add(-1)
	}
	g.leave()
}

// speak sends everybody's packets, in a few groups a frame so that the server is not hit at once.
func (f *farside) speak() {
	start := time.Now()
	for tick := 1; ; tick++ {
		due := start.Add(time.Duration(tick) * frame / phases)
		time.Sleep(time.Until(due))
		delayed := time.Since(due) > late
		packet := f.packets[tick/phases%len(f.packets)]
		f.mu.Lock()
		var turn []*guest
		for g := range f.guests {
			if g.number%phases == int64(tick%phases) {
				turn = append(turn, g)
			}
		}
		f.mu.Unlock()
		for _, g := range turn {
			if f.echo || !g.say(packet) {
				continue
			}
			f.sent.Add(1)
			if delayed {
				f.late.Add(1)
			}
		}
	}
}

// register offers itself to the server as an agent worker that takes every job.
func (f *farside) register(name string) error {
	token, err := auth.NewAccessToken(f.key, f.secret).
		SetVideoGrant(&auth.VideoGrant{Agent: true}).
		SetValidFor(time.Hour).
		ToJWT()
	if err != nil {
		return err
	}
	header := http.Header{"Authorization": {"Bearer " + token}}
	conn, _, err := websocket.DefaultDialer.Dial(f.url+"/agent", header)
	if err != nil {
		return err
	}
	var guard sync.Mutex
	write := func(m *livekit.WorkerMessage) error {
		data, err := proto.Marshal(m)
		if err != nil {
			return err
		}
		guard.Lock()
		defer guard.Unlock()
		return conn.WriteMessage(websocket.BinaryMessage, data)
	}
	registered := make(chan struct{})
	go func() {
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				log.Println("the server let go of the worker:", err)
				return
			}
			told := &livekit.ServerMessage{}
			if err := proto.Unmarshal(data, told); err != nil {
				log.Println(err)
				return
			}
			switch m := told.Message.(type) {
			case *livekit.ServerMessage_Register:
				close(registered)
			case *livekit.ServerMessage_Availability:
				job := m.Availability.Job.Id
				_ = write(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_Availability{
					Availability: &livekit.AvailabilityResponse{
						JobId: job, Available: true, ParticipantIdentity: "agent-" + job,
					},
				}})
			case *livekit.ServerMessage_Assignment:
				go func() {
					if err := f.enter(f.url, m.Assignment.Token); err != nil {
						log.Println(err)
					}
				}()
			}
		}
	}()
	err = write(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_Register{
		Register: &livekit.RegisterWorkerRequest{
			Type: livekit.JobType_JT_ROOM, AgentName: name, Version: "1",
		},
	}})
	if err != nil {
		return err
	}
	select {
	case <-registered:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the server did not register the worker")
	}
}

func (f *farside) counts() counts {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return counts{
		Rooms: f.rooms.Load(), Hearing: f.hearing.Load(), Sent: f.sent.Load(), Late: f.late.Load(),
		Received: f.received.Load(), Sound: f.sound.Load(), Lost: f.lost.Load(), Gaps: f.gaps.Load(),
		Failed: f.failed.Load(), Seconds: time.Since(f.began).Seconds(),
		CPU: float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9,
	}
}
