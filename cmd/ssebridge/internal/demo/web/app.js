// The page's wiring: four streams, each with a card that shows it and a meter that
// watches it. Start reading at stream.js.

import { Chart } from './chart.js';
import { Chat } from './chat.js';
import { Clock } from './clock.js';
import { Meter } from './meter.js';
import { withPage } from './page.js';
import { seqOf, Stream } from './stream.js';
import { Terminal } from './terminal.js';
import { Tokens } from './tokens.js';
import { Wire } from './wire.js';

const wire = new Wire();
const streams = {};
const meters = {};

// listen makes the stream of a card, with the view that shows its messages.
function listen(name, view, { names = ['message'], position }) {
  const meter = meters[name] = new Meter(document.querySelector(`[data-stream=${name}]`));
  const stream = streams[name] = new Stream({
    names,
    position,
    onEvent: (message, how) => view.event(message, how),
    onChange(kind, detail) {
      if (kind === 'event') { meter.mark(detail); wire.pulse(name); }
      if (kind === 'seam') view.seam();
      if (kind === 'gap') wire.say(`${name}: events are missing (${detail}).`);
      if (kind === 'state' && stream.state === 'live') view.live?.();
      if (kind === 'state' && ['ended', 'broken'].includes(stream.state)) view.end?.();
      show(name);
    },
  });
  return stream;
}

function show(name) {
  meters[name].show(streams[name], wire.isCut);
  for (const total of document.querySelectorAll('[data-total]')) {
    const sum = Object.values(streams).reduce((all, stream) => all + stream[total.dataset.total], 0);
    total.textContent = sum.toLocaleString('en');
    total.dataset.zero = sum === 0;
  }
}

// Twice a second: the tapes move on, and the picture says how things stand.
let before = 'live';
function tick() {
  for (const [name, stream] of Object.entries(streams)) {
    meters[name].tick(['lost', 'failed', 'paused'].includes(stream.state));
    meters[name].show(stream, wire.isCut);
  }
  const now = wire.show(Object.fromEntries(Object.entries(streams).map(([name, stream]) => [name, stream.state])));
  if (now === 'live' && before !== 'live') {
    const gaps = Object.values(streams).reduce((all, stream) => all + stream.gaps, 0);
    wire.say(gaps ? `Back. Gaps so far: ${gaps}.` : 'All streams resumed without a gap.');
  }
  before = now;
}

const clock = listen('clock', new Clock(), { position: (tick) => Number(tick.count) });
const metrics = listen('metrics', new Chart(), { position: (_, id) => seqOf(id) });
const chat = listen('chat', new Chat(), { names: ['message', 'joined', 'left'], position: (event) => Number(event.seq) });
const asking = new Tokens((url) => tokens.start(url, -1));
const tokens = listen('tokens', asking, { position: (token) => token.index ?? 0 });

clock.start(withPage('/clock'));
metrics.start(withPage('/metrics/live'));
chat.start(withPage('/rooms/lobby/events'));
asking.begin();
setInterval(tick, 500);
tick();

// A hidden tab gives its connections back (a browser opens six to a server in all) and
// goes on after its last ids when it is shown again.
document.addEventListener('visibilitychange', () => {
  for (const stream of Object.values(streams)) document.hidden ? stream.pause() : stream.resume();
});
addEventListener('pagehide', () => Object.values(streams).forEach((stream) => stream.pause()));
addEventListener('pageshow', () => { if (!document.hidden) Object.values(streams).forEach((stream) => stream.resume()); });

new Terminal([
  () => `curl -N ${location.origin}/clock`,
  () => `curl -N -H 'Last-Event-ID: ${clock.lastId}' ${location.origin}/clock`,
  () => `curl -N '${location.origin}/tokens?prompt=hello'`,
  () => `curl -N --json '{"prompt":"hello"}' ${location.origin}/v1/completions`,
]);
