/** What push bounds. Budgets of addresses (`work`, `state`) come on top. */
export const PUSH_LIMITS = {
  /** Devices of one client. */
  clientDevices: 8,
  /** Devices of one project; a setting. */
  projectDevices: 1_000_000,
  /** Messages that wait for one device, and go together. */
  messages: 8,
  /** Tags of one filter. */
  tags: 64,
  /** Projects with settings of their own. */
  projects: 1_000,
  /** Bytes of a message of another relay that is kept until it is pushed; larger ones go as topic and id. */
  textBytes: 4_096,
  /** Bytes of a body: a message of 256 KiB as base64 in JSON, and more is of no use. */
  bodyBytes: 512 * 1024,
}

/** How often may be registered, by address; and what another relay may post, by client. */
export const PUSH_RATES = {
  pushRegister: '200, 2/s',
  pushDeliver: '200, 20/s',
} as const
export type PushRate = keyof typeof PUSH_RATES
