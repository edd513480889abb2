// Listens to an event stream, as a page would, until it has got so many messages, and prints what it got as JSON.
import { EventSource } from 'eventsource';

const [url, count] = [process.argv[2], Number(process.argv[3])];
const seen = { seqs: [], gaps: 0, errors: 0 };
const source = new EventSource(url);
source.addEventListener('stream-gap', () => { seen.gaps += 1; });
source.onerror = () => { seen.errors += 1; };
source.onmessage = (event) => {
  seen.seqs.push(Number(JSON.parse(event.data).seq));
  if (seen.seqs.length >= count) {
    source.close();
    console.log(JSON.stringify(seen));
  }
};
