"use strict";

/* The page of ser-web. It speaks the daemon's protocol over a WebSocket; docs/protocol.md explains each field. */

const QUIETEST = -90;            // dBFS at the left end of the level
const LEVEL_MS = 250;            // between two looks at the level
const MOST_UTTERANCES = 50;
const STATES = {
  starting: ["off", "Starting …"],
  listening: ["on", "Listening"],
  muted: ["off", "Muted: the microphone is closed"],
  held: ["off", "On hold: audio is ignored"],
  "no-device": ["bad", "No microphone"],
  silent: ["bad", "The microphone gives only silence"],
  degraded: ["bad", "Audio is being lost"],
  stopping: ["off", "The daemon is ending"],
};
const REASONS = {
  "too-short": "too short to tell",
  "unlike-speech": "unlike the speech that the network knows",
  "low-confidence": "not sure enough",
};
const ACTIVATION = { high: "agitated", low: "quiet" };

const $ = (id) => document.getElementById(id);
const percent = (value) => `${Math.round(value * 100)} %`;
const history_ = new History();
let socket = null;
let token = takeToken();
let delay = 500;
let muted = false;
let rows = new Map();
let begun = { utterance: null, at: 0, last: 0 };

/** Take the token out of the address, where it could be seen or copied; keep it for the next visit. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return stored((storage) => storage.getItem("token"));
  stored((storage) => storage.setItem("token", given));
  history.replaceState(null, "", location.pathname);
  return given;
}

/** Use the storage of this origin; a browser may forbid it. */
function stored(action) {
  try {
    return action(localStorage);
  } catch {
    return null;
  }
}

function connect() {
  if (!token) return refuse("This link has no token. Open the link that ser-web printed at its start.");
  let opened = false;
  const address = location.href.replace(/^http/, "ws").replace(/#.*$/, "").replace(/[^/]*$/, "socket");
  try {
    socket = new WebSocket(address, ["ser-daemon", `token.${token}`]);
  } catch {
    return refuse("The token in this link is damaged. Open the link that ser-web printed at its start.");
  }
  socket.onopen = () => {
    opened = true;
    delay = 500;
  };
  socket.onmessage = (message) => receive(JSON.parse(message.data));
  socket.onclose = async () => {
    away("ser-web does not answer; trying again");
    if (!opened) {
      // A browser does not tell why a WebSocket was refused.
      const answer = await fetch("status", { headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
      if (answer && answer.status === 401) {
        stored((storage) => storage.removeItem("token"));
        return refuse("This link is no longer valid. Open the link that ser-web printed at its last start.");
      }
      if (answer && answer.status === 403) return refuse(await answer.text());
      if (answer && answer.ok) away("ser-web has too many clients; trying again");
    }
    setTimeout(connect, delay);
    delay = Math.min(delay * 2, 10_000);
  };
}

function refuse(text) {
  away("Not connected");
  notice(text);
}

function ask(type, id) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type, id }));
}

function receive({ type, id, data }) {
  if (type === "hello") {
    makeRows(data.labels);
    notice("");
    show(data);
    ask("status", "level");
  } else if (type === "status") show(data);
  else if (type === "audio-state") show({ ...data, muted: data.state === "muted" });
  else if (type === "voice-started") {
    begun = { utterance: data.utterance_id, at: Date.now(), last: Date.now() };
    gate(true);
  } else if (type === "voice-stopped") gate(false);
  else if (type === "emotion") hear(data);
  else if (type === "error" && data.code === "no-daemon" && id === undefined) away("The daemon is not running", data.text);
  else if (type === "error" && id === "mute") notice(data.text);
  else if (type === "done" && id === "mute") notice("");
}

/** The microphone: `hello`, `status` and `audio-state` have the same fields. */
function show(data) {
  const [kind, text] = STATES[data.state] || ["off", data.state];
  $("state").dataset.kind = kind;
  write("state-text", data.reason && kind === "bad" ? `${text}: ${data.reason}` : text);
  write("device", data.device || "ser-daemon");
  muted = data.muted;
  $("mute").disabled = false;
  $("mute").setAttribute("aria-pressed", String(muted));
  write("mute", muted ? "Unmute" : "Mute");
  if (data.speaking !== undefined) gate(data.speaking);
  level(data.level_dbfs, data.noise_floor_dbfs);
}

/** Write a text where it has changed: a screen reader says each change. */
function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function away(text, why) {
  $("state").dataset.kind = "bad";
  write("state-text", text);
  $("state").title = why || "";
  $("mute").disabled = true;
  gate(false);
  level(null, null);
}

function notice(text) {
  $("notice").hidden = !text;
  write("notice", text);
}

function level(dbfs, floor) {
  const at = (value) => Math.min(Math.max(1 - value / QUIETEST, 0), 1);
  const known = typeof dbfs === "number";
  $("level").firstElementChild.style.transform = `scaleX(${known ? at(dbfs) : 0})`;
  $("level").setAttribute("aria-valuenow", known ? Math.round(Math.max(dbfs, QUIETEST)) : QUIETEST);
  $("level").setAttribute("aria-valuetext", known ? `${Math.round(dbfs)} decibels` : "unknown");
  $("floor").hidden = typeof floor !== "number";
  if (typeof floor === "number") $("floor").style.left = `${at(floor) * 100}%`;
  $("level-text").textContent = known ? `${Math.round(dbfs)} dB`.replace("-", "−") : "–";
}

function gate(open) {
  $("gate").dataset.open = String(open);
  $("gate").textContent = open ? "speech" : "silence";
}

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

function makeRows(labels) {
  if (rows.size === labels.length + 1) return;
  rows = new Map();
  $("scores").replaceChildren();
  for (const label of [...labels, "arousal"]) {
    const row = element("li", label === "arousal" ? "arousal" : "");
    const bar = element("div", "track");
    const fill = element("span", "fill");
    const signed = label === "arousal";
    bar.setAttribute("role", "meter");
    bar.setAttribute("aria-label", label);
    bar.setAttribute("aria-valuemin", signed ? "-1" : "0");
    bar.setAttribute("aria-valuemax", signed ? "1" : "100");
    bar.setAttribute("aria-valuenow", "0");
    bar.append(fill);
    if (signed) bar.append(element("span", "middle"));
    const number = element("span", "number", "–");
    const canvas = element("canvas");
    // The list of utterances says the same in words.
    canvas.setAttribute("aria-hidden", "true");
    row.append(element("span", "name", label), bar, number, canvas);
    $("scores").append(row);
    rows.set(label, { row, bar, fill, number, canvas });
  }
  draw();
}

/** A result, partial or final. */
function hear(data) {
  const now = Date.now();
  const known = data.label !== "unknown";
  const same = begun.utterance === data.utterance_id;
  const start = data.final || !same ? now - Math.min(data.end - data.start, 60_000) : begun.last;
  if (same) begun.last = now;
  const tooShort = data.reason === "too-short";
  if (!tooShort) {
    const { scores, arousal, utterance_id: utterance, final } = data;
    history_.add({ start, end: now, scores, arousal, known, utterance, final });
    for (const [label, { row, bar, fill, number }] of rows) {
      const signed = label === "arousal";
      const value = signed ? arousal : scores[label];
      fill.style.transform = signed ? `translateX(50%) scaleX(${value / 2})` : `scaleX(${value})`;
      bar.setAttribute("aria-valuenow", signed ? value : Math.round(value * 100));
      number.textContent = signed ? (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(1) : percent(value);
      row.classList.toggle("known", known);
      row.classList.toggle("top", label === (data.top || data.label));
    }
    draw();
  }
  write("now-label", data.label);
  $("now-label").className = known ? "" : "unsure";
  write("now-detail", explain(data) + (data.final ? "" : " · so far"));
  if (data.final) list(data);
}

function explain(data) {
  const activation = data.activation && ACTIVATION[data.activation.level];
  const parts = data.label === "unknown"
    ? [REASONS[data.reason] || data.reason, data.reason === "low-confidence" && `most likely ${data.top}, ${percent(data.confidence)}`]
    : [percent(data.confidence)];
  return [...parts, activation].filter(Boolean).join(" · ");
}

function list(data) {
  $("none").hidden = true;
  const item = element("li", data.label === "unknown" ? "unknown" : "");
  const time = element("time", "", new Date(data.time).toLocaleTimeString([], { timeStyle: "medium", hourCycle: "h23" }));
  time.dateTime = data.time;
  const seconds = ((data.end - data.start) / 1000).toFixed(1);
  item.append(time, element("span", "label", data.label), element("span", "why", explain(data)), element("span", "number", `${seconds} s`));
  $("utterances").prepend(item);
  while ($("utterances").children.length > MOST_UTTERANCES) $("utterances").lastElementChild.remove();
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(["accent", "pale", "line"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
  const now = Date.now();
  history_.forget(now);
  for (const [label, { canvas }] of rows) {
    const signed = label === "arousal";
    history_.draw(canvas, (result) => (signed ? result.arousal : result.scores[label]), now, colours, signed);
  }
}

$("mute").addEventListener("click", () => ask(muted ? "unmute" : "mute", "mute"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", draw);
setInterval(() => {
  if (!document.hidden) ask("status", "level");
}, LEVEL_MS);
setInterval(() => {
  if (!document.hidden) draw();
}, 1000);
connect();
