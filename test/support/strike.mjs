// Loaded before a server that dies in the middle of its work: of what it seals, the last thing is number STRIKE_AT_SEAL.
import { crypto } from '../../dist/platform/runtime/crypto-node.js'

let left = Number(process.env.STRIKE_AT_SEAL)
const { seal } = crypto
crypto.seal = (...args) => {
  left -= 1
  if (left === 0) process.kill(process.pid, 'SIGKILL')
  return seal(...args)
}
