/**
 * Lua that the scripts of the archive begin with. KEYS[1] sorted set: id by seq · [2] hash: id → text · [3] hash: last, bytes,
 * until · [4] sorted set of what has an owner.
 */
export const ARCHIVE = `
-- The entry of a message in KEYS[4]: those of one owner stand side by side, in their order.
local function owned(owner, seq, id)
  return owner .. ' ' .. string.format('%016.0f', seq) .. ' ' .. id
end
local function ownerOf(text)
  return string.match(text, '^%S+ %S+ %S+ %S+ (%x+)\\n')
end`
