import { connect, randomMessage, randomTopic, startRelay } from '/work/main/test/relay/client-world.ts'
const relay = await startRelay({ requestsPerSecond: 1e6, requestBurst: 1e6 })
const topics = Array.from({ length: 50 }, randomTopic)
const got = new Map<string, string[]>(topics.map((t) => [t, []]))
let n = 0
const bob = connect(relay.url, { async onMessage({ topic, message }) { await new Promise(r => setImmediate(r)); got.get(topic)!.push(message); n++ } })
const alice = connect(relay.url)
await bob.subscribe(topics)
const sent = new Map<string, string[]>(topics.map((t) => [t, []]))
const t0 = Date.now()
let stop = false
const chaos = (async () => { while (!stop) { await new Promise(r => setTimeout(r, 300)); await relay.stop(); await relay.start() } })()
const N = 20000
for (let i = 0; i < N; i += 1000) {
  await Promise.all(Array.from({ length: 1000 }, (_, k) => { const topic = topics[(i + k) % 50]!; const message = randomMessage(200); sent.get(topic)!.push(message); return alice.publish({ topic, message, tag: 1, ttl: 600 }) }))
}
stop = true; await chaos
const end = Date.now() + 40000
while (n < N && Date.now() < end) await new Promise(r => setTimeout(r, 20))
let inorder = 0, dup = 0, lost = 0
for (const t of topics) { const a = sent.get(t)!, b = got.get(t)!; if (JSON.stringify(a) === JSON.stringify(b)) inorder++; dup += b.length - new Set(b).size; lost += a.filter(x => !new Set(b).has(x)).length }
console.log({ ms: Date.now() - t0, n, inorder, dup, lost })
await bob[Symbol.asyncDispose](); await alice[Symbol.asyncDispose](); await relay[Symbol.asyncDispose]()
