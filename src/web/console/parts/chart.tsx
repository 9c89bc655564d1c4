/** A chart over time. The library and its styles are loaded with the first one. */
import { useEffect, useRef } from 'preact/hooks'
import type uPlot from 'uplot'

export interface Line {
  label: string
  /** A variable of the theme. */
  colour: string
  values: readonly number[]
}

const HEIGHT_PX = 150
const MIN_SPAN_S = 600
/** So few points are shown as such. */
const FEW_POINTS = 12
const colourOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Colours as they are: a canvas knows no variables, and no `light-dark()`. */
const resolved = (name: string): string => {
  const probe = document.createElement('span')
  probe.style.color = colourOf(name)
  document.body.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

const clockTime = (seconds: number): string =>
  new Date(seconds * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })

const optionsFor = (lines: readonly Line[], width: number): uPlot.Options => {
  const axis = {
    stroke: resolved('--quiet'),
    grid: { stroke: resolved('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height: HEIGHT_PX,
    cursor: { y: false },
    legend: { show: true, live: false },
    scales: {
      // A young process has few points: they stand at the end of ten minutes.
      x: { range: (_, first, last) => [Math.min(first, last - MIN_SPAN_S), last] },
      y: { range: (_, least, most) => [Math.min(0, least), Math.max(1, most * 1.1)] },
    },
    axes: [
      { ...axis, space: 70, values: (_, times) => times.map(clockTime) },
      { ...axis, size: 48 },
    ],
    series: [
      {},
      ...lines.map(({ label, colour }) => ({
        label,
        stroke: resolved(colour),
        width: 1.5,
        points: { show: (chart: uPlot) => (chart.data[0]?.length ?? 0) < FEW_POINTS, size: 5 },
      })),
    ],
  }
}

const dataOf = (times: readonly number[], lines: readonly Line[]): uPlot.AlignedData => [
  [...times],
  ...lines.map(({ values }) => [...values]),
]

export const Chart = ({
  title,
  times,
  lines,
}: {
  title: string
  times: readonly number[]
  lines: readonly Line[]
}) => {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | undefined>(undefined)
  const latest = useRef({ times, lines })
  latest.current = { times, lines }

  useEffect(() => {
    let isOver = false
    let watching: ResizeObserver | undefined
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    const draw = async () => {
      const { default: Plot } = await import('./uplot.ts')
      const element = place.current
      if (isOver || !element) return
      chart.current?.destroy()
      const now = latest.current
      chart.current = new Plot(
        optionsFor(now.lines, element.clientWidth),
        dataOf(now.times, now.lines),
        element,
      )
      watching ??= new ResizeObserver(() =>
        chart.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX }),
      )
      watching.observe(element)
    }
    const redraw = () => void draw()
    redraw()
    scheme.addEventListener('change', redraw)
    return () => {
      isOver = true
      scheme.removeEventListener('change', redraw)
      watching?.disconnect()
      chart.current?.destroy()
      chart.current = undefined
    }
  }, [])
  useEffect(() => {
    chart.current?.setData(dataOf(times, lines))
  }, [times.at(-1), times.length])

  const newest = lines.map(({ label, values }) => `${label} ${values.at(-1) ?? 0}`).join(', ')
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={place} role="img" aria-label={`${title}: ${newest}`} />
    </figure>
  )
}
