/** The routes of `tenants.ts` in the words of OpenAPI. */
import * as z from 'zod'
import type { Operation } from '../../platform/net/description.ts'
import { ProjectId } from '../schema.ts'

const ID = { id: 'wallet-app' }
const Success = z.object({ success: z.literal(true) }).meta({ id: 'TenantDone' })
const NONE = { 404: 'No such tenant' }
const FORM = 'multipart/form-data'

const ApnsForm = z
  .object({
    apns_type: z.enum(['certificate', 'token']),
    apns_topic: z.string().describe('The bundle id of the app'),
    apns_certificate: z.string().meta({ format: 'binary' }).describe('PKCS #12').optional(),
    apns_certificate_password: z.string().optional(),
    apns_pkcs8_pem: z.string().meta({ format: 'binary' }).describe('The key as PEM').optional(),
    apns_key_id: z.string().optional(),
    apns_team_id: z.string().optional(),
  })
  .meta({ id: 'ApnsForm' })
const FcmForm = z
  .object({ credentials: z.string().describe('The service account as JSON') })
  .meta({ id: 'FcmForm' })

const Tenant = z
  .object({
    url: z.string(),
    enabled_providers: z.array(z.string()),
    apns_topic: z.string().nullable(),
    apns_type: z.string().nullable(),
    suspended: z.boolean(),
    suspended_reason: z.string().nullable(),
  })
  .meta({ id: 'Tenant' })

const removal = (id: string, provider: string, what: string): Operation => ({
  ...{ id, method: 'delete', path: `/tenants/{id}/${provider}` },
  summary: `Remove ${what} credentials of a tenant`,
  description: 'Its devices of this provider are not woken any more.',
  needs: ['adminToken'],
  answer: Success,
  failures: NONE,
  example: { params: ID, answer: { success: true } },
})

export const TENANT_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: 'createTenant', method: 'post', path: '/tenants' },
    summary: 'Create a tenant',
    description: 'A tenant is a project of push: it has credentials of providers.',
    needs: ['adminToken'],
    body: { shape: z.object({ id: ProjectId }) },
    answer: z.object({ url: z.string() }),
    failures: { 409: 'There are as many as there may be' },
    example: { body: ID, answer: { url: 'https://push.example.com/wallet-app' } },
  },
  {
    ...{ id: 'getTenant', method: 'get', path: '/tenants/{id}' },
    summary: 'Get a tenant',
    description: 'Which providers it has credentials of, and whether one of them refuses these.',
    needs: ['adminToken'],
    answer: Tenant,
    failures: NONE,
    example: {
      params: ID,
      answer: {
        ...{ url: 'https://push.example.com/wallet-app', enabled_providers: ['noop'] },
        ...{ apns_topic: null, apns_type: null, suspended: false, suspended_reason: null },
      },
    },
  },
  {
    ...{ id: 'removeTenant', method: 'delete', path: '/tenants/{id}' },
    summary: 'Remove a tenant',
    description: 'Its devices and its credentials are removed, too.',
    needs: ['adminToken'],
    answer: Success,
    failures: { ...NONE, 409: 'It is `default`, which stays' },
    example: { params: { id: 'gone-app' }, answer: { success: true } },
  },
  {
    ...{ id: 'setTenantApns', method: 'post', path: '/tenants/{id}/apns' },
    summary: 'Set APNs credentials of a tenant',
    description: 'A certificate with its password, or a key with its id and team.',
    needs: ['adminToken'],
    body: { shape: ApnsForm, type: FORM },
    answer: Success,
    failures: NONE,
    example: {
      params: ID,
      body: {
        ...{ apns_type: 'token', apns_topic: 'com.example.wallet', apns_key_id: 'ABC123DEFG' },
        ...{ apns_team_id: 'DEF123GHIJ', apns_pkcs8_pem: '-----BEGIN PRIVATE KEY-----…' },
      },
      answer: { success: true },
    },
  },
  {
    ...{ id: 'setTenantFcm', method: 'post', path: '/tenants/{id}/fcm_v1' },
    summary: 'Set FCM credentials of a tenant',
    description: 'The service account that Google has given out, as JSON.',
    needs: ['adminToken'],
    body: { shape: FcmForm, type: FORM },
    answer: Success,
    failures: NONE,
    example: {
      params: ID,
      body: {
        credentials: '{"project_id":"wallet","client_email":"push@wallet.example.com","private_key":"…"}',
      },
      answer: { success: true },
    },
  },
  {
    ...{ id: 'setTenantLegacyFcm', method: 'post', path: '/tenants/{id}/fcm' },
    summary: 'Set legacy FCM credentials of a tenant',
    description: 'Always refused: Google has shut down the legacy API.',
    needs: ['adminToken'],
    answer: { status: 400, says: 'Set `fcm_v1`' },
    example: { params: ID },
  },
  removal('removeTenantApns', 'apns', 'APNs'),
  removal('removeTenantLegacyFcm', 'fcm', 'legacy FCM'),
  removal('removeTenantFcm', 'fcm_v1', 'FCM'),
]
