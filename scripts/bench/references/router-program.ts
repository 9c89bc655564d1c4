/**
 * A relay without a store, without identities and without an acknowledgement that counts: it parses the same frames with
 * the product's own functions, routes by topic, answers, and pushes over the product's own socket layer.
 */
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import * as z from 'zod'
import { takeUpgrades } from '../../../src/platform/net/upgrades.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { parseRpc, type RpcRequest, rpcFailure, rpcResult } from '../../../src/protocol/jsonrpc.ts'
import { LIMITS, RELAY_METHODS } from '../../../src/protocol/relay-methods.ts'
import { subscriptionIdOf } from '../../../src/protocol/topic.ts'
import { pushFrame } from '../../../src/relay/delivery/outgoing.ts'
import { createCorks, WsPeer } from '../../../src/relay/ws-peer.ts'
import { answerCalls } from '../program.ts'

const UNKNOWN_METHOD = -32601

const subscribers = new Map<string, Set<WsPeer>>()
const cork = createCorks()
let lastPushId = 0

const serve = (peer: WsPeer, { idText, method, params }: RpcRequest) => {
  if (method === 'irn_subscribe') {
    const { topic } = RELAY_METHODS.irn_subscribe.params.parse(params)
    const peers = subscribers.get(topic) ?? new Set()
    subscribers.set(topic, peers.add(peer))
    peer.send(rpcResult(idText, subscriptionIdOf(topic, '')))
  } else if (method === 'irn_publish') {
    const { topic, message, tag, attestation } = RELAY_METHODS.irn_publish.params.parse(params)
    peer.send(rpcResult(idText, true))
    const text = JSON.stringify({ topic, message, publishedAt: Date.now(), tag, attestation })
    for (const one of subscribers.get(topic) ?? []) {
      if (one !== peer) one.send(pushFrame(++lastPushId, '', text))
    }
  } else peer.send(rpcFailure(idText, UNKNOWN_METHOD, method))
}

const server = createServer()
const sockets = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: LIMITS.frameBytes,
})
takeUpgrades(server, ['/'], (request, raw, head) => {
  sockets.handleUpgrade(request, raw, head, (ws) => {
    const peer = new WsPeer(ws, raw, systemClock, cork)
    ws.on('message', (data) => {
      const message = parseRpc(data.toString())
      if (message.kind === 'request') serve(peer, message)
    })
    ws.on('close', () => {
      for (const peers of subscribers.values()) peers.delete(peer)
    })
  })
})

const listen = () =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = z.object({ port: z.number() }).parse(server.address())
      resolve(`ws://127.0.0.1:${port}`)
    })
  })

answerCalls({ listen })
