// A browser client as contract section 14 describes it, and nothing beyond: the join sequence, the
// data packets both ways, mute and volume, and what the end of a room means.
"use strict";

const { Room, RoomEvent, Track, DisconnectReason } = LivekitClient;

const ENDED_BY = {
  [DisconnectReason.CLIENT_INITIATED]: "user",
  [DisconnectReason.PARTICIPANT_REMOVED]: "agent",
  [DisconnectReason.ROOM_DELETED]: "agent",
  [DisconnectReason.ROOM_CLOSED]: "agent",
  [DisconnectReason.JOIN_FAILURE]: "error",
};

class ClientError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

class VoiceConversation {
  static async create(options) {
    const conversation = new VoiceConversation(options);
    await conversation.join();
    return conversation;
  }

  constructor(options) {
    this.options = options;
    this.room = new Room();
    this.status = "connecting";
    this.mode = "listening";
    this.volume = 1;
    this.elements = new Map();
  }

  async join() {
    const { conversationToken, livekitUrl, overrides, audioConstraints } = this.options;
    const room = this.room;
    room.on(RoomEvent.TrackSubscribed, (track) => this.hear(track));
    room.on(RoomEvent.TrackUnsubscribed, (track) => this.unhear(track));
    room.on(RoomEvent.DataReceived, (payload) => this.receive(payload));
    room.on(RoomEvent.ActiveSpeakersChanged, (speakers) => {
      const others = speakers.some((one) => one.identity !== room.localParticipant.identity);
      this.setMode(others ? "speaking" : "listening");
    });
    room.on(RoomEvent.Disconnected, (reason) => this.ended(reason));
    try {
      await room.connect(livekitUrl, conversationToken, { autoSubscribe: true });
    } catch (error) {
      this.setStatus("disconnected");
      throw new ClientError("CONNECTION_FAILED", String(error));
    }
    this.setStatus("connected");
    if (overrides) await this.send({ type: "overrides", overrides });
    try {
      const track = await LivekitClient.createLocalAudioTrack({
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
        ...audioConstraints,
      });
      this.microphone = track;
      await room.localParticipant.publishTrack(track, {
        name: "microphone",
        source: Track.Source.Microphone,
      });
    } catch (error) {
      await room.disconnect();
      throw new ClientError("MICROPHONE_FAILED", String(error));
    }
    this.options.onConnect?.({ conversationId: room.name || "" });
  }

  hear(track) {
    if (track.kind !== Track.Kind.Audio) return;
    const element = track.attach();
    element.volume = this.volume;
    document.body.append(element);
    this.elements.set(track.sid, element);
  }

  unhear(track) {
    track.detach().forEach((element) => element.remove());
    this.elements.delete(track.sid);
  }

  receive(payload) {
    let packet = null;
    try {
      packet = JSON.parse(new TextDecoder().decode(payload));
    } catch {
      packet = null;
    }
    if (packet === null || typeof packet !== "object" || typeof packet.type !== "string") {
      this.options.onError?.({ code: "INVALID_MESSAGE" });
      return;
    }
    const said = this.said(packet);
    if (said) this.options.onMessage?.(said);
  }

  said(packet) {
    const isFinal = packet.isFinal ?? true;
    switch (packet.type) {
      case "transcript":
        return { source: packet.source, text: packet.text, isFinal };
      case "agent_message":
        return { source: "agent", text: packet.text, isFinal };
      case "user_message_echo":
        return { source: "user", text: packet.text, isFinal: true };
      default:
        return null;
    }
  }

  async send(packet) {
    if (this.status !== "connected") throw new ClientError("NOT_CONNECTED", "not connected");
    const data = new TextEncoder().encode(JSON.stringify(packet));
    await this.room.localParticipant.publishData(data, { reliable: true });
  }

  sendUserMessage(text) {
    return this.send({ type: "user_message", text });
  }

  sendContextualUpdate(text) {
    return this.send({ type: "contextual_update", text });
  }

  // The later generation of the client writes here.
  sendChatMessage(text) {
    return this.room.localParticipant.sendText(text, { topic: "lk.chat" });
  }

  async setMicMuted(muted) {
    await (muted ? this.microphone.mute() : this.microphone.unmute());
  }

  setVolume(volume) {
    this.volume = volume;
    this.elements.forEach((element) => (element.volume = volume));
  }

  async endSession() {
    this.setStatus("disconnecting");
    await this.room.disconnect();
  }

  ended(reason) {
    this.elements.forEach((element) => element.remove());
    this.setStatus("disconnected");
    const name = DisconnectReason[reason] ?? "none";
    this.options.onDisconnect?.({ reason: ENDED_BY[reason] ?? "unknown", message: name });
  }

  setStatus(status) {
    this.status = status;
    this.options.onStatusChange?.(status);
  }

  setMode(mode) {
    if (mode === this.mode) return;
    this.mode = mode;
    this.options.onModeChange?.(mode);
  }
}

// What the tests ask of the page.
window.told = { messages: [], statuses: [], modes: [], errors: [], connects: [], ends: [] };

window.mint = async (base, key, body) => {
  const reply = await fetch(`${base}/v1/sessions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: reply.status, body: await reply.json() };
};

window.join = async (conversationToken, livekitUrl, more) => {
  const told = window.told;
  window.conversation = await VoiceConversation.create({
    conversationToken,
    livekitUrl,
    ...more,
    onConnect: (x) => told.connects.push(x),
    onDisconnect: (x) => told.ends.push(x),
    onMessage: (x) => told.messages.push(x),
    onStatusChange: (x) => told.statuses.push(x),
    onModeChange: (x) => told.modes.push(x),
    onError: (x) => told.errors.push(x),
  });
  return window.conversation.room.name;
};
