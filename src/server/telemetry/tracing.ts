/**
 * Spans by OpenTelemetry. Only its API is here: it does nothing until the operator loads an SDK before the server
 * (`node --import ./tracing.mjs …`, see docs/operate.md), which decides what is sampled and where it goes.
 */
import { context, isSpanContextValid, SpanStatusCode, trace } from '@opentelemetry/api'
import { type Meter, untraced } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'

const NAME = 'belfry'

/** Without an SDK every span has the same, invalid context. */
const hasSdk = (): boolean => {
  const probe = trace.getTracer(NAME).startSpan('start')
  probe.end()
  return isSpanContextValid(probe.spanContext())
}

const codeOf = (error: unknown): string => (error instanceof ProtocolError ? error.code : 'internal')

export const createTracing = (version: string): Pick<Meter, 'traces' | 'span'> => {
  if (!hasSdk()) return untraced
  const tracer = trace.getTracer(NAME, version)
  return {
    traces: true,
    async span(name, attributes, work) {
      const span = tracer.startSpan(name, { attributes })
      try {
        return await context.with(trace.setSpan(context.active(), span), () =>
          work({ set: (more) => void span.setAttributes(more) }),
        )
      } catch (error) {
        // Its text may hold what somebody sent.
        span.setAttribute('error.type', codeOf(error))
        span.setStatus({ code: SpanStatusCode.ERROR })
        throw error
      } finally {
        span.end()
      }
    },
  }
}
