/** The routes of this folder for wallets and relays in the words of OpenAPI. */
import * as z from 'zod'
import type { Operation, RoomDescription } from '../../platform/net/description.ts'
import { NewDevice, ProjectId, PublishedClient, RelayMessageBody } from '../schema.ts'
import { TENANT_OPERATIONS } from './openapi-tenants.ts'

const CLIENT = 'z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const DEVICE = '0b5f7f0e58a14a3e9c0b1d2e3f405162'
const Done = z.object({ status: z.literal('SUCCESS') }).meta({ id: 'PushDone' })
const DONE = { status: 'SUCCESS' }
const NO_PROJECT = 'No such project'

const PublishedFailure = z
  .object({
    status: z.literal('FAILURE'),
    errors: z.array(z.object({ name: z.string(), message: z.string() })),
    fields: z.array(z.object({ field: z.string(), description: z.string(), location: z.string() })),
  })
  .meta({ id: 'PushFailure', description: 'What went wrong, as published push servers say it' })

const DEVICES: readonly Operation[] = [
  {
    ...{ id: 'getPushKey', method: 'get', path: '/push/v1/key' },
    summary: 'Get the key for Web Push',
    description: 'What `pushManager.subscribe` takes as `applicationServerKey`.',
    answer: z.object({ vapidKey: z.string() }),
    example: { answer: { vapidKey: 'BOb3W3WJ2mNuRrk3S3bAtc2wQ7bO5m2l4kYd0s1m9c4' } },
  },
  {
    ...{ id: 'registerDevice', method: 'post', path: '/push/v1/{project}/devices' },
    summary: 'Register a device of a client',
    description:
      'The token has the act `push_register`. `target` says by which provider the device is woken.',
    needs: ['clientToken'],
    body: { shape: NewDevice },
    answer: z.object({ deviceId: z.string() }),
    failures: {
      403: 'The provider refuses such addresses',
      404: NO_PROJECT,
      409: 'The client has too many devices',
    },
    example: {
      params: { project: 'default' },
      body: {
        target: {
          webpush: {
            endpoint: 'https://push.example.net/send/abc',
            keys: {
              p256dh:
                'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
              auth: 'BTBZMqHH6r4Tts7J_aSIgg',
            },
          },
        },
        tags: [4002],
      },
      answer: { deviceId: DEVICE },
    },
  },
  {
    ...{ id: 'removeDevices', method: 'delete', path: '/push/v1/{project}/devices' },
    summary: 'Remove all devices of a client',
    description: 'The token has the act `push_unregister`. Answers how many they were.',
    needs: ['clientToken'],
    answer: z.object({ ended: z.number() }),
    failures: { 404: NO_PROJECT },
    example: { params: { project: 'default' }, answer: { ended: 1 } },
  },
  {
    ...{ id: 'removeDevice', method: 'delete', path: '/push/v1/{project}/devices/{deviceId}' },
    summary: 'Remove a device of a client',
    description: 'The token has the act `push_unregister`. Answers how many they were, 0 or 1.',
    needs: ['clientToken'],
    answer: z.object({ ended: z.number() }),
    failures: { 404: NO_PROJECT },
    example: { params: { project: 'default', deviceId: DEVICE }, answer: { ended: 1 } },
  },
]

const SignatureHeaders = z.object({
  'X-Ed25519-Signature': z.string().optional().describe('Of the relay, over `timestamp.length.body`, hex'),
  'X-Ed25519-Timestamp': z.string().optional().describe('Unix time in s'),
})

/** Each of them is there twice: for the tenant that the path names, and for `default`. */
const published = (base: '' | '/{tenant}', suffix: '' | 'OfTenant'): Operation[] => {
  const params = base === '' ? {} : { tenant: 'default' }
  const whose = base === '' ? 'The tenant is `default`.' : 'The path names the tenant.'
  return [
    {
      ...{ id: `registerClient${suffix}`, method: 'post', path: `${base}/clients` },
      summary: 'Register a client for push, as published',
      description: `For wallets of the published SDK. Where the project allows it, the token may be left out. ${whose}`,
      needs: ['clientToken', 'nobody'],
      body: { shape: PublishedClient },
      answer: Done,
      failures: { 401: 'No token, or that of another client', 404: NO_PROJECT, 409: 'Too many devices' },
      example: {
        params,
        body: { client_id: CLIENT, type: 'fcm', token: 'fcm-token-1', always_raw: true },
        answer: DONE,
      },
    },
    {
      ...{ id: `removeClient${suffix}`, method: 'delete', path: `${base}/clients/{id}` },
      summary: 'Remove a client from push, as published',
      description: `For wallets of the published SDK. ${whose}`,
      needs: ['clientToken', 'nobody'],
      answer: Done,
      failures: { 401: 'No token, or that of another client', 404: 'No such client' },
      example: { params: { ...params, id: CLIENT }, answer: DONE },
    },
    {
      ...{ id: `pushMessage${suffix}`, method: 'post', path: `${base}/clients/{id}` },
      summary: 'Hand a message over for push, as published',
      description: `For relays that the operator trusts; the relay signs the request. ${whose}`,
      needs: ['relaySignature'],
      headers: SignatureHeaders,
      body: { shape: RelayMessageBody },
      answer: { status: 202, says: 'It will be pushed', shape: Done },
      also: [{ says: 'It was handed over before', shape: Done, example: DONE }],
      failures: { 404: 'No such client' },
      example: {
        params: { ...params, id: CLIENT },
        body: { topic: 'ab'.repeat(32), tag: 4002, message: 'aGVsbG8=' },
        answer: DONE,
      },
    },
  ]
}

const params = {
  project: ProjectId.describe('Project of the credentials for push'),
  tenant: ProjectId.describe('Project of the credentials for push'),
  deviceId: z.string().min(1).max(64).describe('Id of the device'),
  id: z.string().min(1).max(128).describe('Id of the client or tenant'),
}

export const PUSH: RoomDescription = {
  tag: { name: 'push', description: 'Devices that are woken while their wallet is closed' },
  params,
  operations: DEVICES,
}

export const PUBLISHED_PUSH: RoomDescription = {
  tag: {
    name: 'push server',
    description: 'The routes of the published push server (Echo), single and multi-tenant',
  },
  failure: PublishedFailure,
  statuses: { 422: 400 },
  params,
  operations: [...published('', ''), ...published('/{tenant}', 'OfTenant'), ...TENANT_OPERATIONS],
}
