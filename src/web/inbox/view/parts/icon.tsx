/** Pictures of the controls, drawn with lines in the colour of the text. The control says what it is, so they are hidden from readers. */
const PATHS = {
  inbox: 'M3 13h5l2 3h4l2-3h5M5 5h14l2 8v6H3v-6z',
  discover: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm4 5-2.5 5.5L8 16l2.5-5.5z',
  settings: 'M4 7h9m4 0h3M4 17h3m4 0h9M15 4.5v5M9 14.5v5',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zm5 12 5 5',
  back: 'M15 5l-7 7 7 7',
  check: 'M4 12.5l5 5L20 6.5',
  bell: 'M6 16v-5a6 6 0 0 1 12 0v5l2 2H4zm4 5h4',
  close: 'M6 6l12 12M18 6L6 18',
  external: 'M14 4h6v6m0-6-9 9M18 14v6H4V6h6',
  sliders: 'M4 8h10m4 0h2M4 16h2m4 0h10M16 5.5v5M8 13.5v5',
  urgent: 'M12 4 2.5 20h19zM12 10v4m0 3h.01',
  high: 'M12 20V5m-6 6 6-6 6 6',
  picture: 'M4 5h16v14H4zm0 11 5-5 4 4 3-3 4 4',
  offline: 'M4 4l16 16M8.5 8A9 9 0 0 0 3 10m6 4a6 6 0 0 1 6 0m-3 5h.01M13 7a12 12 0 0 1 8 3',
} as const

export type IconName = keyof typeof PATHS

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} />
  </svg>
)
