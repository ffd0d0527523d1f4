// Print the answer to each utterance, with Node.js and no package.
//
//     node examples/node_client.mjs [SOCKET]
import net from "node:net";
import readline from "node:readline";

const { SER_SOCKET, XDG_RUNTIME_DIR, HOME } = process.env;
const path = process.argv[2] ?? SER_SOCKET ?? `${XDG_RUNTIME_DIR ?? `${HOME}/.cache`}/ser-daemon/ser.sock`;

// allowHalfOpen is false by default: when the daemon ends the stream, Node closes its own side too, and the program
// ends by itself. With allowHalfOpen: true you must call socket.end() in "end", or the program never ends.
// socket.end() right after connecting is allowed: the daemon goes on sending events to a client that is half-closed.
const socket = net.connect({ path });
socket.on("error", (error) => {
  console.error(`No events from ${path}: ${error.message}`);
  process.exit(1);
});
socket.write(JSON.stringify({ type: "subscribe", data: { events: ["emotion"], partial: false } }) + "\n");

// A chunk is not a line: readline puts lines together again.
for await (const line of readline.createInterface({ input: socket, crlfDelay: Infinity })) {
  const { type, data } = JSON.parse(line);
  // Ignore types and fields that you don't know: later versions add some.
  if (type === "emotion") console.log(data.utterance_id, data.label, data.confidence);
  if (type === "error") console.error(data.text);
}
