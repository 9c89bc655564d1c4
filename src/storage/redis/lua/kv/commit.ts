import { defineScript, WHEN_FULL } from '../../script.ts'

/**
 * `live(key, ttl)`: the key lives for at least `ttl` ms more; given an hour too much, so that it is rarely written. Tables
 * with an end never have a key without one.
 */
const LIVE = `
local call = redis.call
local function live(key, ttl)
  ttl = tonumber(ttl)
  if call('PTTL', key) < ttl then call('PEXPIRE', key, ttl + 3600000) end
end`

/**
 * A row of a queue has its end before its value; a member of an ordered set is the row's key, an end of it, and the value
 * (`redis/kv/rows.ts`). Shapes: c cell, m map, o ordered, i index, q queue.
 * `find(shape, key, row)`: the value, '' in an index, false where there is none; of an ordered set then the member, or nil and
 * whether nothing is there or behind it.
 * `findAll(shape, key, rows)`: the values of rows, in their order.
 * `each(command, key, args)`: a command with many arguments, an even number at a time, because the stack of Lua has an end.
 */
const FIND = `
local most = 2000
local function find(shape, key, row)
  if shape == 'c' then return call('GET', key) end
  if shape == 'i' then return call('ZSCORE', key, row) and '' end
  if shape == 'o' then
    local start = row .. '\\0\\1'
    local member = call('ZRANGE', key, '[' .. start, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
    if member and string.sub(member, 1, #start) == start then return string.sub(member, #start + 1), member end
    return false, nil, not member
  end
  local value = call('HGET', key, row)
  return value and shape == 'q' and string.sub(value, 9) or value
end

local function findAll(shape, key, rows)
  local found = {}
  if #rows == 1 or shape == 'o' then
    for at, row in ipairs(rows) do found[at] = find(shape, key, row) end
    return found
  end
  for from = 1, #rows, most do
    local some = call(shape == 'i' and 'ZMSCORE' or 'HMGET', key, unpack(rows, from, math.min(from + most - 1, #rows)))
    for nth, value in ipairs(some) do
      if value and shape == 'q' then value = string.sub(value, 9) elseif value and shape == 'i' then value = '' end
      found[from + nth - 1] = value
    end
  end
  return found
end

local function each(command, key, args)
  for from = 1, #args, most do call(command, key, unpack(args, from, math.min(from + most - 1, #args))) end
end`

/**
 * Commits batches, each of them whole or not at all. Rules: see `storage/kv.ts`.
 *
 * KEYS  of each batch those of its sets: one; of a queue the rows, then the order
 * ARGV  1 a MessagePack list, of each batch: place of its first key · a list: name of its `once` key among KEYS, or 0 ·
 *       checks · writes. A check: kind, shape, place of the key, rows, their values; of `free` members, and of each the score of a
 *       lease that ends now. A write: kind, shape, place of the key,
 *       ttl in ms or 0 as a text, and
 *         put, of a cell: value · of others: arguments of HSET or ZADD; of an ordered set then how long the rows are, and 1
 *                                 where each is behind the one before
 *         put, of a line: arguments of ZADD
 *         drop: members of a line · replace: members, each before the one that comes in its place
 *         others: row, value, when it is due or ''
 *       Places count from the first key of the batch on.
 * Returns of each batch a text with a digit for each write that is no put and of no line, or a list: place and value, or false, of each check
 * that did not hold.
 */
const COMMIT = `
local first

local function failing(checks)
  local failures, at = nil, 0
  for _, check in ipairs(checks) do
    local kind, shape, place, rows, values = unpack(check)
    local found = kind ~= 'free' and findAll(shape, KEYS[first + place], rows) or {}
    for nth = 1, #rows do
      local value, holds = found[nth]
      if kind == 'is' then holds = value == values[nth]
      elseif kind == 'free' then
        local score = tonumber(call('ZSCORE', KEYS[first + place], rows[nth]) or nil)
        holds = score and (score < 1e15 or score >= 2e15 or score <= tonumber(values[nth]))
        value = false
      else holds = (kind == 'present') == (value and true or false) end
      if not holds then
        failures = failures or {}
        failures[#failures + 1] = at
        failures[#failures + 1] = value
      end
      at = at + 1
    end
  end
  return failures
end

-- Rows behind all that are there are new, which is found by looking once.
local function putOrdered(key, args, lengths, rises)
  local _, former, isLast = find('o', key, string.sub(args[2], 1, lengths[1]))
  if isLast and rises == 1 then return each('ZADD', key, args) end
  for at, length in ipairs(lengths) do
    if at > 1 then _, former = find('o', key, string.sub(args[2 * at], 1, length)) end
    if former then call('ZREM', key, former) end
    call('ZADD', key, 0, args[2 * at])
  end
end

local function put(shape, key, ttl, args, lengths, rises)
  if shape == 'c' then
    if ttl == '0' then call('SET', key, args) else call('SET', key, args, 'PX', ttl) end
    return
  end
  if shape == 'o' then putOrdered(key, args, lengths, rises)
  else each((shape == 'i' or shape == 'l') and 'ZADD' or 'HSET', key, args) end
  if ttl ~= '0' then live(key, ttl) end
end

-- What is no put. One function, because each one that a script defines costs every call of it.
local function write(kind, shape, place, ttl, row, value, due)
  local rows, order = KEYS[first + place], KEYS[first + place + 1]
  if kind == 'clear' then
    if shape == 'q' then call('DEL', order) end
    return call('DEL', rows)
  end
  if kind == 'remove' then
    if shape == 'c' then return call('DEL', rows) end
    if shape == 'i' then return call('ZREM', rows, row) end
    if shape == 'o' then
      local _, former = find(shape, rows, row)
      return former and call('ZREM', rows, former) or 0
    end
    if shape == 'q' then call('ZREM', order, row) end
    return call('HDEL', rows, row)
  end
  if kind == 'create' then
    if find(shape, rows, row) then return 0 end
    if shape == 'o' then
      call('ZADD', rows, 0, row .. '\\0\\1' .. value)
      if ttl ~= '0' then live(rows, ttl) end
    else put(shape, rows, ttl, shape == 'c' and value or shape == 'i' and { '0', row } or { row, value }) end
    return 1
  end
  if kind == 'enqueue' then
    if call('HSETNX', rows, row, value) == 0 then return 0 end
    call('ZADD', order, due, row)
    if ttl ~= '0' then
      live(rows, ttl)
      live(order, ttl)
    end
    return 1
  end
  local former = call('HGET', rows, row)
  if not former then return 0 end
  if value ~= '' then call('HSET', rows, row, string.sub(former, 1, 8) .. value) end
  call('ZADD', order, due, row)
  local left = call('PTTL', rows)
  if left > 0 then live(order, left) end
  return 1
end

local function replaceAll(line, members)
  for at = 1, #members, 2 do
    local score = call('ZSCORE', line, members[at])
    if score then
      call('ZREM', line, members[at])
      call('ZADD', line, score, members[at + 1])
    end
  end
end

local batches, answers = cmsgpack.unpack(ARGV[1]), {}
for at = 1, #batches, 2 do
  first = batches[at]
  local once, checks, writes = unpack(batches[at + 1])
  local answer = once > 0 and call('GET', KEYS[first + once - 1])
  if not answer then
    answer = failing(checks)
    if not answer then
      local results = {}
      for _, one in ipairs(writes) do
        if one[1] == 'put' then put(one[2], KEYS[first + one[3]], unpack(one, 4))
        elseif one[2] == 'l' then
          local line = KEYS[first + one[3]]
          if one[1] == 'drop' then each('ZREM', line, one[5])
          else replaceAll(line, one[5]) end
        else results[#results + 1] = write(unpack(one)) end
      end
      answer = table.concat(results)
      if once > 0 then call('SET', KEYS[first + once - 1], answer, 'PX', 60000) end
    end
  end
  answers[#answers + 1] = answer
end
return answers`

export const kvCommit = defineScript('KvCommit', LIVE, FIND, COMMIT)

/** For batches that only remove or put off: Redis runs it although it is full. */
export const kvRelieve = defineScript('KvRelieve', WHEN_FULL, LIVE, FIND, COMMIT)
