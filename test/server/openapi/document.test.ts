/** `/openapi.json` says what is so: of every route, in a form that programs take. */
import { readFileSync } from 'node:fs'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silent } from '../../../src/platform/telemetry.ts'
import { composeDocument } from '../../../src/server/openapi/document.ts'
import { ROOM_DESCRIPTIONS } from '../../../src/server/openapi/rooms.ts'
import { type AllRooms, operationsOf, startAllRooms } from './all-rooms.ts'

let house: AllRooms
const warnings: unknown[] = []
beforeAll(async () => {
  house = await startAllRooms({
    log: { ...silent, warn: (fields, sentence) => void warnings.push({ fields, sentence }) },
  })
})
afterAll(() => house[Symbol.asyncDispose]())

it('the document describes every route that is mounted, and every description is of a route that is mounted', () => {
  expect(warnings).toEqual([])
  const said = operationsOf(house.document).map(({ operationId }) => operationId)
  const known = ROOM_DESCRIPTIONS.flatMap(({ operations }) => operations.map(({ id }) => id))
  expect(said.sort()).toEqual(known.sort())
})

it('a route that nobody describes is told of, and a description without a route is left out', async () => {
  const mounted = [
    { method: 'GET', path: '/health' },
    { method: 'POST', path: '/v1/:projectId/surprise' },
  ]
  const { document, undescribed } = await composeDocument(ROOM_DESCRIPTIONS, mounted, {
    publicUrl: 'http://x',
    version: '1',
  })
  expect(Object.keys(document.paths)).toEqual(['/health'])
  expect(undescribed).toEqual(['POST /v1/{projectId}/surprise'])
})

it('operation ids are unique names of functions', () => {
  const ids = operationsOf(house.document).map(({ operationId }) => operationId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) expect(id).toMatch(/^[a-z][a-zA-Z]+$/)
})

it('every operation says what it is, what it may answer, and shows a request', () => {
  const isBare = (text: string) => !/^[A-Z].*[^.]$/.test(text)
  for (const { operationId, summary, description, responses, parameters, requestBody, path } of operationsOf(
    house.document,
  )) {
    expect([operationId, isBare(summary), description.length > 10]).toEqual([operationId, false, true])
    const missing = parameters.filter(({ required, example }) => required && example === undefined)
    expect([operationId, missing.map(({ name }) => name)]).toEqual([operationId, []])
    for (const { example } of Object.values(requestBody?.content ?? {}))
      expect([operationId, example]).not.toEqual([operationId, undefined])
    if (!['/health', '/ready', '/metrics'].includes(path)) expect(Object.keys(responses)).toContain('429')
  }
})

it('is valid for a validator of the standard', async () => {
  const result = await new Validator().validate(JSON.parse(house.text))
  expect(result).toMatchObject({ valid: true })
})

it('is clean for a linter, and its examples fit their schemas', async () => {
  const config = await createConfig({
    extends: ['spec'],
    rules: Object.fromEntries(
      [
        ...['operation-operationId', 'operation-operationId-unique', 'operation-operationId-url-safe'],
        ...['operation-summary', 'operation-description', 'operation-tag-defined', 'tag-description'],
        ...[
          'operation-4xx-response',
          'operation-parameters-unique',
          'path-parameters-defined',
          'no-identical-paths',
        ],
        ...['no-unused-components', 'no-unresolved-refs', 'security-defined', 'no-enum-type-mismatch'],
        ...['no-invalid-media-type-examples', 'no-invalid-parameter-examples', 'no-invalid-schema-examples'],
        ...['info-license', 'no-empty-servers', 'no-server-trailing-slash'],
      ].map((rule) => [rule, 'error']),
    ),
  })
  const problems = await lintFromString({ source: house.text, config })
  expect(problems.map(({ ruleId, message, location: [place] }) => [ruleId, place?.pointer, message])).toEqual(
    [],
  )
})

it('is in the package as well, without the server that it was asked of', () => {
  const { servers: _, ...served } = JSON.parse(house.text)
  // `node scripts/check-api.mjs --write` brings it up to date.
  expect(JSON.parse(readFileSync('api/openapi.json', 'utf8'))).toEqual(served)
  const { exports, files } = JSON.parse(readFileSync('package.json', 'utf8'))
  expect(exports['./openapi.json']).toBe('./api/openapi.json')
  expect(files).toEqual(expect.arrayContaining(['api/openapi.json', 'docs/**/*.md', 'llms.txt']))
})
