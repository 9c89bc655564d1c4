/**
 * What is sent to every way in, and what it gets: one table each, so that each room alone and the whole house are held
 * to the same answers.
 */
import { topicNamed } from '../support/world/relay-hub.ts'

const encoder = new TextEncoder()
const concat = (...parts: (string | number[])[]) =>
  Uint8Array.from(parts.flatMap((part) => [...(typeof part === 'string' ? encoder.encode(part) : part)]))

export const MIB = 1024 * 1024
/** To a route that takes a JSON object or list: the body, the status and the code that it gets. */
export const MALFORMED: [
  name: string,
  body: string | Uint8Array<ArrayBuffer>,
  status: number,
  code: string,
][] = [
  ['nothing', '', 400, 'bad_json'],
  ['no JSON', 'hello', 400, 'bad_json'],
  ['half of JSON', '{"notification":{"type":', 400, 'bad_json'],
  ['two values', '{}{}', 400, 'bad_json'],
  ['a number that is none', '{"a":01}', 400, 'bad_json'],
  ['NUL', '\0', 400, 'bad_json'],
  ['null', 'null', 422, 'bad_params'],
  ['a string', '"hello"', 422, 'bad_params'],
  ['a huge number', '1e400', 422, 'bad_params'],
  ['a long number', '9'.repeat(100_000), 422, 'bad_params'],
  ['true', 'true', 422, 'bad_params'],
  ['bad UTF-8', concat('{"appDomain":"', [0xff, 0xfe], '"}'), 400, 'bad_request'],
  ['overlong UTF-8', concat('{"appDomain":"', [0xc0, 0xaf], '"}'), 400, 'bad_request'],
  ['half a UTF-8 character', concat('{"appDomain":"', [0xe2, 0x82], '"}'), 400, 'bad_request'],
  ['deep arrays', '['.repeat(400_000) + ']'.repeat(400_000), 400, 'bad_request'],
  ['deep objects', '{"a":'.repeat(100_000), 400, 'bad_request'],
  ['brackets beyond the limit that are never closed', '['.repeat(MIB), 400, 'bad_request'],
  ['1 MiB and a byte', ' '.repeat(MIB + 1), 413, 'too_large'],
  ['2 MiB', JSON.stringify({ appDomain: 'x'.repeat(2 * MIB) }), 413, 'too_large'],
]

const topic = topicNamed('a topic')
const call = (method: string, params: string) =>
  `{"id":1,"jsonrpc":"2.0","method":"${method}","params":${params}}`
const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

/** To the relay: text, the JSON-RPC error code that it gets, and the HTTP status over `POST /rpc` where that is not 200. */
export const TEXTS: [name: string, text: string, code: number, status?: number][] = [
  ['nothing', '', -32700, 400],
  ['spaces', '   ', -32700, 400],
  ['a word', 'hello', -32700, 400],
  ['half an object', '{"id":1,"jsonrpc":"2.0"', -32700, 400],
  ['a NUL', '\0', -32700, 400],
  ['null', 'null', -32600],
  ['a number', '7', -32600],
  ['a huge number', '1e999', -32600],
  ['a string', '"irn_publish"', -32600],
  ['a list', '[]', -32600],
  ['a batch', `[${call('irn_subscribe', `{"topic":"${topic}"}`)}]`, -32600],
  ['an empty object', '{}', -32600],
  ['no version', '{"id":1,"method":"irn_publish","params":{}}', -32600],
  ['another version', '{"id":1,"jsonrpc":"1.0","method":"irn_publish","params":{}}', -32600],
  ['a method that is no string', '{"id":1,"jsonrpc":"2.0","method":7,"params":{}}', -32600],
  ['an id that is an object', '{"id":{},"jsonrpc":"2.0","method":"irn_publish","params":{}}', -32600],
  ['an id that is a list', '{"id":[1],"jsonrpc":"2.0","method":"irn_publish","params":{}}', -32600],
  [
    'a very long id',
    `{"id":"${'9'.repeat(10_000)}","jsonrpc":"2.0","method":"irn_publish","params":{}}`,
    -32600,
  ],
  ['an unknown method', call('irn_nothing', '{}'), -32601],
  ['the name of a property of objects', call('hasOwnProperty', '{}'), -32601],
  ['__proto__', call('__proto__', '{}'), -32601],
  ['a later method', call('irn_laterMethod', '{"topic":"a"}'), -32601],
  ['params that are no object', call('irn_publish', '7'), -32602],
  ['wrong types', call('irn_publish', '{"topic":7,"message":{},"ttl":"x","tag":[]}'), -32602],
  ['a huge TTL', call('irn_publish', `{"topic":"${topic}","message":"m","ttl":1e308}`), -32602],
  ['a TTL beyond all numbers', call('irn_publish', `{"topic":"${topic}","message":"m","ttl":1e999}`), -32602],
  [
    'a tag that is a fraction',
    call('irn_publish', `{"topic":"${topic}","message":"m","ttl":60,"tag":1.5}`),
    -32602,
  ],
  [
    'a message of 300 KiB',
    call('irn_publish', `{"topic":"${topic}","message":"${'x'.repeat(300_000)}"}`),
    -32602,
  ],
  ['deep nesting', call('irn_publish', deep(200_000)), -32602],
  ['deep nesting in a topic', call('irn_subscribe', `{"topic":${deep(200_000)}}`), -32602],
  ['10,000 topics', call('irn_batchSubscribe', `{"topics":[${Array(10_000).fill(`"${topic}"`)}]}`), -32602],
  [
    '10,000 topics to fetch',
    call('irn_batchFetchMessages', `{"topics":[${Array(10_000).fill(`"${topic}"`)}]}`),
    -32602,
  ],
  ['a prototype', call('irn_subscribe', `{"__proto__":{"topic":"${topic}"}}`), -32602],
]
