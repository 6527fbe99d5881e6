// Follows the stream at LDES_URL to its end and prints every member as one line of JSON.
import { enhanced_fetch, intoConfig, replicateLDES } from "ldes-client";

const url = process.env.LDES_URL;
const auth = { auth: process.env.LDES_AUTH, host: new URL(url).host, type: "basic" };
const client = replicateLDES(intoConfig({ url, fetch: enhanced_fetch({ auth }) }), process.env.LDES_ORDER ?? "none");
client.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
const reader = client.stream({ highWaterMark: 10 }).getReader();
for (let read = await reader.read(); !read.done; read = await reader.read()) {
  const { id, isVersionOf, timestamp, type, quads } = read.value;
  const line = { id: id.value, isVersionOf, timestamp, type: type?.value, quads: quads.length };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
