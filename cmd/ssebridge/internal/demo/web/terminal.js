// The lines for a terminal, each with a button to copy it. A line is a function, for it may
// hold a last id: once a second it is written again.

export class Terminal {
  constructor(lines) {
    const list = document.getElementById('curls');
    const codes = lines.map((line) => {
      const item = document.createElement('li');
      const code = document.createElement('code');
      item.append(code);
      if (navigator.clipboard) item.append(copyButton(line));
      list.append(item);
      return code;
    });
    const write = () => {
      lines.forEach((line, i) => {
        // Not while somebody is selecting it by hand.
        if (!getSelection().containsNode(codes[i], true)) codes[i].textContent = line();
      });
    };
    write();
    setInterval(write, 1000);
  }
}

function copyButton(line) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'quiet';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', `Copy: ${line().split(' ')[0]} line`);
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(line());
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  return button;
}
