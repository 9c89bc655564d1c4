import { defineScript, WHEN_FULL } from '../../script.ts'

/**
 * `live(key, ttl)`: the key lives for at least `ttl` ms more; given an hour too much, so that it is rarely written. Tables
 * with an end never have a key without one.
 */
const LIVE = `
local function live(key, ttl)
  ttl = tonumber(ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl + 3600000) end
end`

/**
 * A row of a queue has its end before its value; a member of an ordered set is the row's key, an end of it, and the value
 * (`redis/kv/rows.ts`). Shapes: c cell, m map, o ordered, i index, q queue.
 * `find(shape, key, row)`: the value, '' in an index, false where there is none; of an ordered set the member, too.
 */
const FIND = `
local function find(shape, key, row)
  if shape == 'c' then return redis.call('GET', key) end
  if shape == 'i' then return redis.call('ZSCORE', key, row) and '' end
  if shape == 'o' then
    local start = row .. '\\0\\1'
    local member = redis.call('ZRANGE', key, '[' .. start, '(' .. row .. '\\0\\2', 'BYLEX', 'LIMIT', 0, 1)[1]
    if member then return string.sub(member, #start + 1), member end
    return false
  end
  local value = redis.call('HGET', key, row)
  return value and shape == 'q' and string.sub(value, 9) or value
end`

/**
 * Commits batches, each of them whole or not at all. Rules: see `storage/kv.ts`.
 *
 * KEYS  of each batch those of its sets: one; of a queue the rows, then the order
 * ARGV  of each batch: place of its first key · name of its `once` key among KEYS, or 0 · how many checks · how many writes ·
 *       the checks: kind, shape, place of the key, row, value · the writes: kind, shape, place of the key, row,
 *       value, ttl in ms or '', when it is due or ''. Places count from the first key of the batch on.
 * Returns of each batch a text with a digit for each write, or a list: place of the check that did not hold, what was
 * found or false.
 */
const COMMIT = `
local at = 0
local function arg()
  at = at + 1
  return ARGV[at]
end
local first
local function key(place) return KEYS[first + place] end

local function failing(count)
  local failed, found
  for nth = 0, count - 1 do
    local kind, shape, place, row, value = arg(), arg(), tonumber(arg()), arg(), arg()
    if not failed then
      local holds
      found = find(shape, key(place), row)
      if kind == 'is' then holds = found == value else holds = (kind == 'present') == (found and true or false) end
      if not holds then failed = nth end
    end
  end
  return failed, found
end

local function put(shape, key, row, value, ttl)
  if shape == 'c' then
    if ttl == '' then redis.call('SET', key, value) else redis.call('SET', key, value, 'PX', ttl) end
    return
  end
  if shape == 'i' then redis.call('ZADD', key, 0, row)
  elseif shape == 'o' then
    local _, former = find(shape, key, row)
    if former then redis.call('ZREM', key, former) end
    redis.call('ZADD', key, 0, row .. '\\0\\1' .. value)
  else redis.call('HSET', key, row, value) end
  if ttl ~= '' then live(key, ttl) end
end

local function remove(shape, key, order, row)
  if shape == 'c' then return redis.call('DEL', key) end
  if shape == 'i' then return redis.call('ZREM', key, row) end
  if shape == 'o' then
    local _, former = find(shape, key, row)
    return former and redis.call('ZREM', key, former) or 0
  end
  if shape == 'q' then redis.call('ZREM', order, row) end
  return redis.call('HDEL', key, row)
end

local function write()
  local kind, shape, place, row, value, ttl, due = arg(), arg(), tonumber(arg()), arg(), arg(), arg(), arg()
  local rows, order = key(place), key(place + 1)
  if kind == 'put' then
    put(shape, rows, row, value, ttl)
    return 1
  end
  if kind == 'create' then
    if find(shape, rows, row) then return 0 end
    put(shape, rows, row, value, ttl)
    return 1
  end
  if kind == 'remove' then return remove(shape, rows, order, row) end
  if kind == 'clear' then
    if shape == 'q' then redis.call('DEL', order) end
    return redis.call('DEL', rows)
  end
  if kind == 'enqueue' then
    if redis.call('HSETNX', rows, row, value) == 0 then return 0 end
    redis.call('ZADD', order, due, row)
    if ttl ~= '' then
      live(rows, ttl)
      live(order, ttl)
    end
    return 1
  end
  local former = redis.call('HGET', rows, row)
  if not former then return 0 end
  if value ~= '' then redis.call('HSET', rows, row, string.sub(former, 1, 8) .. value) end
  redis.call('ZADD', order, due, row)
  local ttl = redis.call('PTTL', rows)
  if ttl > 0 then live(order, ttl) end
  return 1
end

local answers = {}
while at < #ARGV do
  first = tonumber(arg())
  local once, checks, writes = tonumber(arg()), tonumber(arg()), tonumber(arg())
  local answer = once > 0 and redis.call('GET', key(once - 1))
  if answer then at = at + 5 * checks + 7 * writes
  else
    local failed, found = failing(checks)
    if failed then
      at = at + 7 * writes
      answer = { failed, found }
    else
      local results = {}
      for nth = 1, writes do results[nth] = write() end
      answer = table.concat(results)
      if once > 0 then redis.call('SET', key(once - 1), answer, 'PX', 60000) end
    end
  end
  answers[#answers + 1] = answer
end
return answers`

export const kvCommit = defineScript('KvCommit', LIVE, FIND, COMMIT)

/** For batches that only remove or put off: Redis runs it although it is full. */
export const kvRelieve = defineScript('KvRelieve', WHEN_FULL, LIVE, FIND, COMMIT)
