/** The routes of `http/routes.ts`, and of what it mounts, in the words of OpenAPI. A test holds the two to the same list. */
import { OpenAPIRegistry, OpenApiGeneratorV31, type RouteConfig } from '@asteasolutions/zod-to-openapi'
import * as z from 'zod'
import {
  AppAnswer,
  AppDeclaration,
  AppsAnswer,
  AppsPage,
  DidDocument,
  FailureAnswer,
  ForApp,
  NotifyConfigAnswer,
  NotifyConfigQuery,
  ProjectsAnswer,
  ProjectsQuery,
  SubscribersV1,
  SubscribersV1Answer,
  SubscribeTopic,
  SubscribeTopicAnswer,
} from './schema.ts'
import {
  Broadcast,
  BroadcastAnswer,
  BroadcastStarted,
  CancelledAnswer,
  NotificationAnswer,
  NotificationsAnswer,
  NotificationsPage,
  NotifyAnswer,
  NotifyV0,
  NotifyV1,
  ReceiptsAnswer,
  ReceiptsPage,
  Settings,
  SettingsAnswer,
} from './schema-notifications.ts'

const json = (shape: z.ZodType) => ({ content: { 'application/json': { schema: shape } } })
const failure = (description: string) => ({ description, ...json(FailureAnswer) })

export interface Described {
  method: RouteConfig['method']
  path: string
  summary: string
  secret?: true
  body?: z.ZodType
  query?: z.ZodObject
  /** A schema answered with 200, or another status with its meaning. */
  answer: z.ZodType | [status: number, description: string, shape?: z.ZodType]
  /** Failures beyond those of the secret and the body. */
  failures?: Record<number, string>
}

const DOMAIN_HELD = 'Another project holds the domain, or the project may have no more apps'
const NO_APP = 'No such app'
const TOO_FAST = 'Too many calls, or the quota of the day is used up; `Retry-After` says for how long, in s'
const NO_NOTIFICATION = 'No such notification'

const ROUTES: readonly Described[] = [
  {
    method: 'post',
    path: '/{projectId}/subscribe-topic',
    summary:
      'Enrols an app and answers its public keys; again, the same ones. Its types are declared with PUT …/apps',
    secret: true,
    body: SubscribeTopic,
    answer: SubscribeTopicAnswer,
    failures: { 409: DOMAIN_HELD, 429: TOO_FAST },
  },
  {
    method: 'post',
    path: '/{projectId}/notify',
    summary: 'Sends one notification to at most 500 accounts',
    secret: true,
    body: NotifyV0,
    answer: NotifyAnswer,
    failures: { 404: NO_APP, 429: TOO_FAST },
  },
  {
    method: 'post',
    path: '/v1/{projectId}/notify',
    summary: 'Sends notifications to at most 500 accounts altogether; the answer is over the whole call',
    secret: true,
    body: NotifyV1,
    answer: NotifyAnswer,
    failures: { 404: NO_APP, 429: TOO_FAST },
  },
  {
    method: 'get',
    path: '/{projectId}/subscribers',
    summary: 'All accounts that are subscribed',
    secret: true,
    query: ForApp,
    answer: z.array(z.string()),
    failures: { 404: NO_APP, 429: TOO_FAST },
  },
  {
    method: 'post',
    path: '/v1/{projectId}/subscribers',
    summary: 'Which types each of these accounts wants; who is not subscribed is left out',
    secret: true,
    body: SubscribersV1,
    answer: SubscribersV1Answer,
    failures: { 404: NO_APP, 429: TOO_FAST },
  },
  {
    method: 'post',
    path: '/v1/{projectId}/mark-all-as-read',
    summary: 'Marks all notifications of the project as read',
    secret: true,
    answer: [204, 'Done'],
  },
  {
    method: 'get',
    path: '/v1/{projectId}/apps',
    summary: "The project's apps, in domain order",
    secret: true,
    query: AppsPage,
    answer: AppsAnswer,
  },
  {
    method: 'get',
    path: '/v1/{projectId}/apps/{domain}',
    summary: 'One app',
    secret: true,
    answer: AppAnswer,
    failures: { 404: NO_APP },
  },
  {
    method: 'put',
    path: '/v1/{projectId}/apps/{domain}',
    summary: 'Declares an app: enrols it when it is new; what is absent stays as it is',
    secret: true,
    body: AppDeclaration,
    answer: AppAnswer,
    failures: { 409: DOMAIN_HELD },
  },
  {
    method: 'get',
    path: '/v1/{projectId}/notifications',
    summary: 'What the project sent, newest first; with `status=scheduled` what waits for its time',
    secret: true,
    query: NotificationsPage,
    answer: NotificationsAnswer,
    failures: { 404: NO_APP },
  },
  {
    method: 'get',
    path: '/v1/{projectId}/notifications/{id}',
    summary: 'One notification: what it says, when, and how many accounts are in which state',
    secret: true,
    query: ForApp,
    answer: NotificationAnswer,
    failures: { 404: NO_NOTIFICATION },
  },
  {
    method: 'get',
    path: '/v1/{projectId}/notifications/{id}/receipts',
    summary: 'What became of it for each account',
    secret: true,
    query: ReceiptsPage,
    answer: ReceiptsAnswer,
    failures: { 404: NO_NOTIFICATION },
  },
  {
    method: 'delete',
    path: '/v1/{projectId}/notifications/{id}',
    summary: 'Cancels what is scheduled or still queued; answers for how many accounts',
    secret: true,
    query: ForApp,
    answer: CancelledAnswer,
    failures: { 404: NO_NOTIFICATION },
  },
  {
    method: 'post',
    path: '/v1/{projectId}/broadcasts',
    summary: 'Sends a notification to all subscribers who want its type; answers at once',
    secret: true,
    body: Broadcast,
    answer: [202, 'Begun', BroadcastStarted],
    failures: { 404: NO_APP, 429: 'Too many broadcasts at a time' },
  },
  {
    method: 'get',
    path: '/v1/{projectId}/broadcasts/{id}',
    summary: 'How far a broadcast is',
    secret: true,
    query: ForApp,
    answer: BroadcastAnswer,
    failures: { 404: NO_NOTIFICATION },
  },
  {
    method: 'delete',
    path: '/v1/{projectId}/broadcasts/{id}',
    summary: 'Cancels a broadcast: nothing more is handed over, and what is still queued is taken back',
    secret: true,
    query: ForApp,
    answer: CancelledAnswer,
    failures: { 404: NO_NOTIFICATION },
  },
  {
    method: 'get',
    path: '/v1/{projectId}/settings',
    summary: "The project's settings",
    secret: true,
    answer: SettingsAnswer,
  },
  {
    method: 'put',
    path: '/v1/{projectId}/settings',
    summary: 'Settles how long notifications are kept; what was sent before stays as long as was said then',
    secret: true,
    body: Settings,
    answer: SettingsAnswer,
  },
  {
    method: 'get',
    path: '/v1/notification/{id}',
    summary: 'Follows the link of a delivered notification',
    answer: [307, "To the notification's url"],
    failures: { 404: 'No such notification, or it has no url', 429: TOO_FAST },
  },
  {
    method: 'get',
    path: '/.well-known/did.json',
    summary: 'did:web document of this server, or of the app whose domain the Host header names',
    answer: DidDocument,
  },
  {
    method: 'get',
    path: '/apps/{domain}/did.json',
    summary: 'did:web document of an app, to be copied to or proxied from its own domain',
    answer: DidDocument,
    failures: { 404: NO_APP },
  },
  {
    method: 'get',
    path: '/w3i/v1/notify-config',
    summary: 'What an app says about itself, and its notification types',
    query: NotifyConfigQuery,
    answer: NotifyConfigAnswer,
    failures: { 404: NO_APP },
  },
  {
    method: 'get',
    path: '/w3i/v1/projects',
    summary: 'The apps that chose to be listed',
    query: ProjectsQuery,
    answer: ProjectsAnswer,
  },
]

/** Writes all routes, and those described elsewhere, into the registry that `/openapi.json` is made from. */
const describeRoutes = (registry: OpenAPIRegistry, more: readonly Described[]): void => {
  registry.registerComponent('securitySchemes', 'projectSecret', { type: 'http', scheme: 'bearer' })
  for (const { method, path, summary, secret, body, query, answer, failures = {} } of [...ROUTES, ...more]) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
    const [status, answered] = Array.isArray(answer)
      ? [answer[0], { description: answer[1], ...(answer[2] && json(answer[2])) }]
      : [200, { description: 'Done', ...json(answer) }]
    const all: Record<number, string> = {
      ...(secret && { 401: 'No or wrong project secret' }),
      ...(body && { 400: 'Not JSON', 413: 'More than 1 MiB', 415: 'Not announced as JSON' }),
      ...((body || query) && { 422: 'Not what is expected; `field` says where' }),
      ...failures,
    }
    registry.registerPath({
      method,
      path,
      summary,
      tags: ['notify'],
      ...(secret && { security: [{ projectSecret: [] }] }),
      request: {
        ...(names.length > 0 && {
          params: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))),
        }),
        ...(query && { query }),
        ...(body && { body: { required: true, ...json(body) } }),
      },
      responses: {
        [status]: answered,
        ...Object.fromEntries(Object.entries(all).map(([code, what]) => [code, failure(what)])),
      },
    })
  }
}

/** The document of all routes, and of those described elsewhere, on the server at this URL. */
export const openApiDocument = (publicUrl: string, more: readonly Described[]) => {
  const registry = new OpenAPIRegistry()
  describeRoutes(registry, more)
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: { title: 'Belfry', version: '1', description: 'Notify: the HTTP API for dapps and wallets' },
    servers: [{ url: publicUrl }],
  })
}
