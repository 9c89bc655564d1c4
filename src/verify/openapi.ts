/** The routes of `http.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../platform/net/description.ts'
import { AttestationQuery } from './http.ts'

const PublicKey = z.object({
  publicKey: z.looseObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() }),
  expiresAt: z.number().describe('Unix time in s'),
})

export const VERIFY: RoomDescription = {
  tag: { name: 'verify', description: 'Tells wallets which page a request came from, as published (Verify)' },
  params: { hash: z.string().min(1).max(128).describe('SHA-256 of the request') },
  operations: [
    {
      ...{ id: 'getAttestationKey', method: 'get', path: '/v3/public-key' },
      summary: 'Get the key that signs attestations',
      description: 'A JWK for ES256, and until when it may be kept.',
      answer: PublicKey,
      example: {
        answer: {
          publicKey: {
            ...{ kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU' },
            y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
          },
          expiresAt: 1_796_025_600,
        },
      },
    },
    {
      ...{ id: 'getAttestation', method: 'get', path: '/v3/attestation' },
      summary: 'Get the frame of an attestation',
      description:
        'A page, to be framed by the dapp. It hands its opener a JWT about the origin that has framed it.',
      query: AttestationQuery,
      answer: { shape: z.string(), type: 'text/html', example: '<!doctype html><title>Attestation</title>' },
      example: { query: { id: 'ab'.repeat(32), origin: 'https://app.example.com' } },
    },
    {
      ...{ id: 'getAttestationScript', method: 'get', path: '/v3/attestation.js' },
      summary: 'Get the script of the frame',
      description: 'It posts the attestation to the page that has framed it.',
      answer: { shape: z.string(), type: 'text/javascript', example: 'parent.postMessage(…)' },
      example: {},
    },
    {
      ...{ id: 'getKeptAttestation', method: 'get', path: '/attestation/{hash}' },
      summary: 'Ask for a statement in the older form',
      description: 'Statements are not kept, so the answer is always 404. Older wallets go on without one.',
      answer: { status: 404, says: 'Statements are not kept' },
      example: { params: { hash: 'ab'.repeat(32) } },
    },
  ],
}
