import time, torch, warnings; warnings.simplefilter('ignore')
import interlib as il
from interlib.identity import *
from interlib.identity import parts, PLAIN
m,t=il.load_lm("smollm2",progress=False)
for _ in range(2):
    s=time.time(); a=identity((m,t),"models"); print(a[:8], round(time.time()-s,2), sum(p.numel() for p in m.parameters()))
g=il.text_game(m,t,"A red apple falls to the ground because of the pull of",players=3); v=il.evaluate(g,progress=False)
print(identity((m,t))==a)
del m,t
m,t=il.load_lm("smollm2",progress=False); print('again',identity((m,t))==a, identity(m.to(torch.bfloat16))!=a)
import torchvision
torch.manual_seed(0); r=torchvision.models.vit_b_16(); s=time.time(); a=identity(r); print(round(time.time()-s,2)); 
r.eval()(torch.randn(1,3,224,224)); print(identity(r)==a)
torch.manual_seed(0); r=torchvision.models.densenet121(); s=time.time(); a=identity(r); print(round(time.time()-s,2)); r.eval()(torch.randn(1,3,64,64)); print(identity(r)==a)
import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6)
