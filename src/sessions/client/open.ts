import type { SessionLink } from '../link.ts'
import type { ChannelDeps, ChannelEvents, SessionChannel, SessionRole } from './channel.ts'
import { openRelayChannel } from './relay-channel.ts'
import { openSocketChannel } from './socket-channel.ts'

/** The channel that a link names. */
export const openChannel = (
  deps: ChannelDeps,
  { link, role, projectId }: { link: SessionLink; role: SessionRole; projectId?: string | undefined },
  events: ChannelEvents,
): SessionChannel =>
  link.kind === 'carmentis-relay'
    ? openSocketChannel(deps, { link, role }, events)
    : openRelayChannel(deps, { link, role, projectId }, events)
