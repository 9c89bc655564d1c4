/**
 * All metrics, declared once. A name that is not here is a defect: it throws where `strict` is set (tests), else it is
 * logged once and left out, because a number is no reason to fail a request.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { type Log, type Meter, untraced } from '../../platform/telemetry.ts'

interface Declared {
  type: 'counter' | 'gauge' | 'histogram'
  help: string
  labels?: readonly string[]
  /** How many values a label may have; what comes after them is counted as `other`. */
  values?: Readonly<Record<string, number>>
  /** Seconds. */
  buckets?: readonly number[]
}

const FAST = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const SLOW = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** An operator has some projects; whoever has more has a database for such questions. */
const PROJECTS = { project: 100 }

export const METRICS: Record<string, Declared> = {
  build_info: {
    type: 'gauge',
    help: 'Always 1: what runs, in the labels',
    labels: ['version', 'node', 'engine'],
  },

  http_requests_total: {
    type: 'counter',
    help: 'HTTP requests answered',
    labels: ['method', 'route', 'status'],
  },
  http_request_seconds: {
    type: 'histogram',
    help: 'Time from an HTTP request to its answer',
    labels: ['route'],
    buckets: SLOW,
  },
  http_connections_refused_total: {
    type: 'counter',
    help: 'Connections that were cut because their address has too many',
  },

  invariant_violations_total: {
    type: 'counter',
    help: 'Assertions that failed: defects, or a damaged store; the log has each',
  },

  store_used_ratio: { type: 'gauge', help: 'Part of the disk or of Redis memory that is used, 0 to 1' },
  store_free_bytes: { type: 'gauge', help: 'What is left of the disk or of Redis memory' },
  store_pressure: {
    type: 'gauge',
    help: 'Of the store: 0 there is room, 1 nearly full, 2 full or not writable',
  },

  relay_connections: { type: 'gauge', help: 'Open connections' },
  relay_refused_total: {
    type: 'counter',
    help: 'Connections that were not let in, by the error code that they were told',
    labels: ['status', 'reason'],
  },
  relay_requests_total: { type: 'counter', help: 'JSON-RPC requests', labels: ['method'] },
  relay_publish_seconds: { type: 'histogram', help: 'Time from a publish to its durability', buckets: FAST },
  relay_messages_published_total: { type: 'counter', help: 'Messages stored' },
  relay_messages_delivered_total: { type: 'counter', help: 'Messages pushed to connections' },
  relay_messages_acknowledged_total: { type: 'counter', help: 'Messages acknowledged by clients' },
  relay_messages_dropped_total: {
    type: 'counter',
    help: 'Messages that were not stored or not delivered: duplicate, full, expired',
    labels: ['reason'],
  },
  relay_subscriptions_ignored_total: {
    type: 'counter',
    help: 'Subscriptions that were answered and not made',
    labels: ['reason'],
  },
  relay_redeliveries_total: { type: 'counter', help: 'Messages pushed again, unacknowledged in time' },
  relay_slow_readers_total: { type: 'counter', help: 'Connections closed because they did not read' },
  relay_watch_events_total: { type: 'counter', help: 'Events of watched messages' },
  relay_watch_events_dropped_total: { type: 'counter', help: 'Events that were too many of their client' },
  relay_watches_ended_total: { type: 'counter', help: 'Webhooks that did not agree or refused too often' },
  relay_watch_posts_total: {
    type: 'counter',
    help: 'Posts of events to webhooks: answered, failed',
    labels: ['outcome'],
  },
  contacts_requests_total: {
    type: 'counter',
    help: 'JSON-RPC requests about installations',
    labels: ['method'],
  },
  agenda_jobs_total: {
    type: 'counter',
    help: 'Jobs that were worked on: done, again, failed',
    labels: ['queue', 'outcome'],
  },

  archive_kept_total: { type: 'counter', help: 'Messages that were archived' },
  archive_dropped_total: {
    type: 'counter',
    help: 'Messages that were not archived: their address keeps too much',
  },

  relay_client_connects_total: { type: 'counter', help: "Connections of the notify server's relay client" },
  relay_client_disconnects_total: { type: 'counter', help: 'Connections of it that ended' },
  relay_client_unhandled_total: { type: 'counter', help: 'Messages that failed and will come again' },
  relay_client_overflow_total: { type: 'counter', help: 'Messages left to the relay because too many wait' },

  notify_requests_total: {
    type: 'counter',
    help: 'Requests of wallets',
    labels: ['method', 'outcome'],
  },
  notify_request_seconds: {
    type: 'histogram',
    help: "Time from a wallet's request to its commit",
    labels: ['method'],
    buckets: SLOW,
  },
  notify_undecryptable_total: {
    type: 'counter',
    help: 'Requests that could not be read',
    labels: ['method'],
  },
  notify_unanswered_total: {
    type: 'counter',
    help: 'Faults of nobody known that were not answered, because there were too many on their topic',
    labels: ['method'],
  },
  notify_deliveries_total: {
    type: 'counter',
    help: 'Outbox entries dealt with',
    labels: ['kind', 'outcome'],
  },
  notify_webhook_calls_total: {
    type: 'counter',
    help: 'Calls of webhooks: taken, failed, dead (given up), put_off (its lane was full)',
    labels: ['outcome'],
  },
  notify_project_sent_total: {
    type: 'counter',
    help: 'Notifications put on their way to an account, by project; of the projects beyond the first 100 as `other`',
    labels: ['project'],
    values: PROJECTS,
  },
  notify_project_failed_total: {
    type: 'counter',
    help: 'Notifications that an account was refused: not subscribed, or too many',
    labels: ['project'],
    values: PROJECTS,
  },
  notify_webhooks_disabled_total: { type: 'counter', help: 'Webhooks that answered 410' },
  notify_relay_events_total: {
    type: 'counter',
    help: 'What the relay told by webhook: taken, refused',
    labels: ['outcome'],
  },
  notify_outbox_size: { type: 'gauge', help: 'Outbox entries that wait' },
  relay_swept_total: { type: 'counter', help: 'Expired messages that were removed' },

  mq_put_total: { type: 'counter', help: 'Messages put into queues' },
  mq_taken_total: { type: 'counter', help: 'Messages taken or deleted by their readers' },
  mq_refused_total: { type: 'counter', help: 'Requests to queues that were refused', labels: ['reason'] },
  mq_polls: { type: 'gauge', help: 'Requests that wait for a message' },

  notify_swept_total: { type: 'counter', help: 'What expired and was removed', labels: ['kind'] },

  push_registrations_total: {
    type: 'counter',
    help: 'Registrations of devices',
    labels: ['provider'],
  },
  push_messages_total: {
    type: 'counter',
    help: 'Messages for devices: pushed (handed to the provider), refused by it',
    labels: ['provider', 'outcome'],
  },
  push_failures_total: {
    type: 'counter',
    help: 'Pushes that ended otherwise: gone (a device ended), later, refused (credentials)',
    labels: ['provider', 'kind'],
  },
  push_dropped_total: {
    type: 'counter',
    help: 'Messages that were not pushed: their address keeps too much',
    labels: ['reason'],
  },
  push_provider_stopped: {
    type: 'gauge',
    help: 'Whether a provider is not asked because it refused the credentials',
    labels: ['project', 'provider'],
    values: PROJECTS,
  },

  sessions_created_total: { type: 'counter', help: 'Wallet sessions created' },
  sessions_joined_total: { type: 'counter', help: 'Wallet sessions in which both peers met' },
  sessions_messages_total: { type: 'counter', help: 'Messages passed on in wallet sessions' },
  sessions_connections: { type: 'gauge', help: 'Open connections for wallet sessions' },
  sessions_refused_total: {
    type: 'counter',
    help: 'Peers of wallet sessions that were refused',
    labels: ['reason'],
  },
  sessions_peers_lost_total: { type: 'counter', help: 'Peers whose process died' },

  wallet_dropped_total: { type: 'counter', help: 'Messages that a wallet client could not use' },
}

const NAME = 'belfry_'

type Labels = Record<string, string>

export interface Metrics extends Meter {
  /** In the text format of Prometheus. */
  text(): Promise<string>
  readonly contentType: string
  /** The sum of a metric over its labels, or over those whose `kind` begins so; 0 where it is not known. */
  valueOf(name: string, kind?: string): Promise<number>
  readonly registry: Registry
}

/** Keeps labels few: values beyond those that a label may have become `other`. */
const createLabelBounds = () => {
  const known = new Map<string, Set<string>>()
  return (name: string, values: Readonly<Record<string, number>>, labels: Labels): Labels => {
    const bounded = { ...labels }
    for (const [label, most] of Object.entries(values)) {
      const value = labels[label] ?? ''
      const seen = known.get(`${name} ${label}`) ?? new Set()
      known.set(`${name} ${label}`, seen)
      if (seen.size < most) seen.add(value)
      if (!seen.has(value)) bounded[label] = 'other'
    }
    return bounded
  }
}

export const createMetrics = (options: {
  log: Log
  strict?: boolean
  tracing?: Pick<Meter, 'traces' | 'span'>
}): Metrics => {
  const { log, strict = false, tracing = untraced } = options
  const boundedLabels = createLabelBounds()
  const registry = new Registry()
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, { type, help, labels = [], buckets = FAST }] of Object.entries(METRICS)) {
    const common = { name: NAME + name, help, labelNames: [...labels], registers: [registry] }
    if (type === 'counter') counters.set(name, new Counter(common))
    else if (type === 'gauge') gauges.set(name, new Gauge(common))
    else histograms.set(name, new Histogram({ ...common, buckets: [...buckets] }))
  }

  const complained = new Set<string>()
  const complain = (name: string, reason: string): void => {
    if (strict) throw new Error(`The metric ${name} ${reason}`)
    if (complained.has(name)) return
    complained.add(name)
    log.error({ metric: name }, `A metric ${reason}`)
  }

  const record = <M>(
    metrics: Map<string, M>,
    name: string,
    labels: Labels | undefined,
    set: (metric: M, labels: Labels) => void,
  ): void => {
    const metric = metrics.get(name)
    if (!metric) {
      complain(name, 'is not declared')
      return
    }
    const { labels: declared = [], values } = METRICS[name] ?? {}
    const given = Object.keys(labels ?? {})
    if (given.length !== declared.length || !given.every((label) => declared.includes(label))) {
      complain(name, `has the labels ${declared.join(', ') || 'none'}`)
      return
    }
    set(metric, values && labels ? boundedLabels(name, values, labels) : (labels ?? {}))
  }

  return {
    ...tracing,
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
    async valueOf(name, kind = '') {
      const found = await (counters.get(name) ?? gauges.get(name))?.get()
      const counted = (found?.values ?? []).filter(({ labels }) => `${labels.kind ?? ''}`.startsWith(kind))
      return counted.reduce((sum, { value }) => sum + value, 0)
    },
    count: (name, labels, by = 1) => record(counters, name, labels, (one, at) => one.inc(at, by)),
    gauge: (name, value, labels) => record(gauges, name, labels, (one, at) => one.set(at, value)),
    observe: (name, seconds, labels) =>
      record(histograms, name, labels, (one, at) => one.observe(at, seconds)),
  }
}
