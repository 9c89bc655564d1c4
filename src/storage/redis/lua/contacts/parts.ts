/**
 * `isSpent()`: whether this account's ticket was spent by another attempt; second answer: by this very one, whose answer
 * got lost. `spend()` spends it.
 *
 * KEYS[1] `nonce attempt` · KEYS[2] the token, or KEYS[1] again
 * ARGV[1] attempt · [2] the nonce, or empty for a token · [3] the nonce after it · [4] how long it, or a token, is
 *      remembered, ms · [5] the nonce that is next where none is kept
 */
export const TICKET = `
local function isSpent()
  if ARGV[2] == '' then
    local attempt = redis.call('GET', KEYS[2])
    return attempt and attempt ~= ARGV[1], attempt == ARGV[1]
  end
  local nonce, attempt = string.match(redis.call('GET', KEYS[1]) or ARGV[5] .. ' ', '^(%S+) (.*)$')
  local again = nonce == ARGV[3] and attempt == ARGV[1]
  return nonce ~= ARGV[2] and not again, again
end
local function spend()
  if ARGV[2] == '' then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
  else redis.call('SET', KEYS[1], ARGV[3] .. ' ' .. ARGV[1], 'PX', ARGV[4]) end
end`
