/**
 * Every setting, once: its names, what it must be, its default, what it is for. The start, `serve --help`, `doctor` and the
 * table in docs/configure.md are made from this, in this order.
 */
import { OPERATION_SETTINGS } from './settings/operations.ts'
import { PUSH_SETTINGS } from './settings/push.ts'
import { ROOM_SETTINGS } from './settings/rooms.ts'
import { SERVER_SETTINGS } from './settings/server.ts'
import type { Setting } from './settings/setting.ts'

export const SETTINGS = { ...SERVER_SETTINGS, ...ROOM_SETTINGS, ...PUSH_SETTINGS, ...OPERATION_SETTINGS }

export type SettingName = keyof typeof SETTINGS
export const SETTING_NAMES = Object.keys(SETTINGS).filter((name): name is SettingName => name in SETTINGS)

export const settingOf = (name: SettingName): Setting => SETTINGS[name]
