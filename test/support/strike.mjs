// Loaded before a server that dies in the middle of its work: of what it seals, from when it has said that it is ready, the last
// thing is number STRIKE_AT_SEAL.
import { crypto } from '../../dist/platform/runtime/crypto-node.js'

let left = Number(process.env.STRIKE_AT_SEAL)
let isReady = false
const write = process.stdout.write.bind(process.stdout)
process.stdout.write = (text, ...rest) => {
  const answer = write(text, ...rest)
  if (String(text).includes('"ready":true')) isReady = true
  return answer
}
const { seal } = crypto
crypto.seal = (...args) => {
  if (isReady) left -= 1
  if (left === 0) process.kill(process.pid, 'SIGKILL')
  return seal(...args)
}
